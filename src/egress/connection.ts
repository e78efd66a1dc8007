import { TelosError } from '../base/errors.ts';
import type { Patience } from './patience.ts';
import type { Target } from './target.ts';

/** What a receiver answered. */
export interface Answer {
  readonly status: number;
  /** Names in lower case; the values of a repeated one joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  /** At most the first 4 KiB. */
  readonly body: Uint8Array;
  /** Monotonic milliseconds when the status came. */
  readonly firstByteAt: number;
}

/**
 * What the receiver may have done with a request that got no status. `unprocessed`: nothing, as it said or because
 * nothing was sent. `silent`: the connection closed without a word about it. `unknown`: anything else.
 */
export type RequestFate = 'unprocessed' | 'silent' | 'unknown';

/** The connection broke before a status came, or what came was not HTTP. */
export class ExchangeError extends TelosError {
  readonly fate: RequestFate;

  constructor(message: string, fate: RequestFate, cause?: Error) {
    super('Reset', message, { cause });
    this.fate = fate;
  }
}

/** A connection that closes so soon, in milliseconds, was being closed before the request came to the receiver. */
const closeRaceMs = 100;

/** Whether to send on a new connection what an old one broke under, `elapsedMs` after it was handed over. */
export function decideToRepeat({ fate }: ExchangeError, elapsedMs: number): boolean {
  return fate === 'unprocessed' || (fate === 'silent' && elapsedMs < closeRaceMs);
}

/** One POST, as the connection sends it. */
export interface Exchange {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

/** One TLS connection that carries one request at a time; when it breaks it is over. */
export interface Connection {
  readonly target: Target;
  /** `address:port`. */
  readonly address: string;
  /** Monotonic milliseconds. */
  readonly openedAt: number;
  /** False once the other side, an error, a broken exchange or `destroy` has closed it. */
  readonly isOpen: boolean;
  /**
   * One POST. Costs the connection when it fails, and when the body is not read to its end: after 4 KiB, or
   * because patience is over. Once a status has come, that is the answer, whatever becomes of the body.
   * @throws ExchangeError, or the reason of patience when it is over before a status has come
   */
  post(exchange: Exchange, patience: Patience, now: () => number): Promise<Answer>;
  /** Closes it, whatever is under way. */
  destroy(): Promise<void>;
}

/** More of an answer's headers is not taken. */
export const maxHeaderBytes = 16_384;
export const headersTooLong = `the answer has more than ${maxHeaderBytes / 1024} KiB of headers`;
export const notHttp = 'the answer is not HTTP';
export const closedEarly = 'the connection was closed before an answer came';
