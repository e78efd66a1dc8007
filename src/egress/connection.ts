import type { TLSSocket } from 'node:tls';
import { Client, type Dispatcher, errors } from 'undici';
import { TelosError } from '../base/errors.ts';
import type { Target } from './target.ts';

/** What a receiver answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** At most the first 4 KiB. */
  readonly body: Uint8Array;
  /** Monotonic milliseconds when the status line came. */
  readonly firstByteAt: number;
}

/** The connection broke before a status came, or what came was not HTTP. */
export class ExchangeError extends TelosError {
  constructor(message: string, cause: Error) {
    super('Reset', message, { cause });
  }
}

export interface Exchange {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

/** More of an answer's body is not read. */
const maxBodyBytes = 4096;
const maxHeaderBytes = 16_384;
/** Pooled connections live at most so long. */
export const maxLifeMs = 60_000;

/** What came of one exchange. */
type Ending =
  | { readonly answer: Answer /** Whether its body was read to the end. */; readonly isWhole: boolean }
  | { readonly error: unknown };

/** One TLS connection that carries one request at a time; when it breaks it is over. */
export class Connection {
  readonly target: Target;
  readonly address: string;
  readonly openedAt: number;
  readonly #socket: TLSSocket;
  readonly #client: Client;
  readonly #onClose: () => void;
  #isOpen = true;

  constructor(socket: TLSSocket, target: Target, address: string, openedAt: number, onClose: () => void) {
    this.target = target;
    this.address = address;
    this.openedAt = openedAt;
    this.#socket = socket;
    this.#onClose = onClose;
    let handedOver = false;
    this.#client = new Client(target.origin, {
      // The socket was vetted and dialled before; there is no second one.
      connect: (_options, callback) => {
        const isFirst = !handedOver;
        handedOver = true;
        // undici does not expect to be called back before it has gone on.
        queueMicrotask(() =>
          isFirst ? callback(null, socket) : callback(new Error('this connection is over'), null),
        );
      },
      pipelining: 1,
      keepAliveTimeout: maxLifeMs,
      keepAliveMaxTimeout: maxLifeMs,
      keepAliveTimeoutThreshold: 1_000,
      maxHeaderSize: maxHeaderBytes,
      // The attempt has one timer for everything.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 0,
    });
    this.#client.on('disconnect', () => this.#close());
    socket.once('close', () => this.#close());
    // Until undici has it, and after undici is done with it, nobody else listens: a reset must end nothing but this.
    socket.on('error', () => this.#close());
  }

  /** False once the other side, an error, a broken exchange or `destroy` has closed it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * One POST. Costs the connection when it fails, and when the body is not read to its end: after 4 KiB, or
   * because the signal aborts. Once a status has come, that is the answer, whatever becomes of the body.
   * @throws ExchangeError, or the signal's reason when it aborts before a status has come
   */
  post(exchange: Exchange, signal: AbortSignal, now: () => number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { path, headers, body } = exchange;
      const handler = new AnswerHandler(signal, now, (ending) => {
        if (!('answer' in ending && ending.isWhole)) void this.destroy();
        if ('answer' in ending) resolve(ending.answer);
        else reject(ending.error);
      });
      this.#client.dispatch({ method: 'POST', path, headers, body }, handler);
    });
  }

  /** Closes it, whatever is under way. */
  async destroy(): Promise<void> {
    this.#close();
    // The client has no hold of a socket that it was not handed yet.
    this.#socket.destroy();
    await this.#client.destroy();
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onClose();
  }
}

/** Collects one answer, and tells once what came of it. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal;
  readonly #now: () => number;
  readonly #tell: (ending: Ending) => void;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #status = 0;
  #headers: Record<string, string> = {};
  #firstByteAt = 0;
  #isOver = false;
  readonly #onAbort = (): void => this.#giveUp(this.#signal.reason);

  constructor(signal: AbortSignal, now: () => number, tell: (ending: Ending) => void) {
    this.#signal = signal;
    this.#now = now;
    this.#tell = tell;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isOver) controller.abort(new Error('given up'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#firstByteAt = this.#now();
    this.#headers = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join(', ') : (value ?? ''),
      ]),
    );
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > maxBodyBytes) this.#answered(false);
  }

  onResponseEnd(): void {
    this.#answered(true);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#giveUp(new ExchangeError(exchangeText(error), error));
  }

  #giveUp(error: unknown): void {
    // A body that breaks off or drips changes nothing about the status that came before it.
    if (this.#status !== 0) this.#answered(false);
    else this.#end({ error });
  }

  #answered(isWhole: boolean): void {
    if (this.#isOver) return;
    const body = Buffer.concat(this.#chunks).subarray(0, maxBodyBytes);
    const answer = { status: this.#status, headers: this.#headers, body, firstByteAt: this.#firstByteAt };
    this.#end({ answer, isWhole });
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#tell(ending);
  }
}

function exchangeText(error: Error): string {
  if (error instanceof errors.HeadersOverflowError)
    return `the answer has more than ${maxHeaderBytes / 1024} KiB of headers`;
  if (error instanceof errors.HTTPParserError) return 'the answer is not HTTP';
  return 'the connection was closed before an answer came';
}
