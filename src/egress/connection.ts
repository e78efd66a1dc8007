import type { TLSSocket } from 'node:tls';
import { Client, type Dispatcher } from 'undici';
import { errorCode, TelosError } from '../base/errors.ts';
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

/** The connection broke, or the answer was not HTTP. */
export class ExchangeError extends TelosError {
  /** Whether any part of an answer had come. */
  readonly answered: boolean;

  constructor(message: string, answered: boolean, cause: Error) {
    super('Reset', message, { cause });
    this.answered = answered;
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

/** One TLS connection that carries one request at a time; when it breaks it is over. */
export class Connection {
  readonly target: Target;
  readonly address: string;
  readonly openedAt: number;
  readonly #client: Client;
  #isOpen = true;

  constructor(socket: TLSSocket, target: Target, address: string, openedAt: number, onClose: () => void) {
    this.target = target;
    this.address = address;
    this.openedAt = openedAt;
    let handedOver = false;
    this.#client = new Client(target.origin, {
      // The socket was vetted and dialled before; there is no second one.
      connect: (_options, callback) => {
        if (handedOver) return callback(new Error('this connection is over'), null);
        handedOver = true;
        // undici does not expect to be called back before it has gone on.
        queueMicrotask(() => callback(null, socket));
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
    const close = (): void => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      onClose();
    };
    this.#client.on('disconnect', close);
    socket.once('close', close);
  }

  /** False once the other side, an error or `destroy` has closed it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** One POST. An answer whose body goes on after 4 KiB costs the connection. @throws ExchangeError, or the signal's reason */
  post(exchange: Exchange, signal: AbortSignal, now: () => number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const handler = new AnswerHandler(resolve, reject, signal, now);
      const { path, headers, body } = exchange;
      this.#client.dispatch({ method: 'POST', path, headers, body }, handler);
    });
  }

  async destroy(): Promise<void> {
    await this.#client.destroy();
  }
}

/** Collects one answer. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #signal: AbortSignal;
  readonly #now: () => number;
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #size = 0;
  #status = 0;
  #headers: Record<string, string> = {};
  #firstByteAt = 0;
  #isOver = false;
  readonly #onAbort = (): void => {
    this.#end(() => this.#reject(this.#signal.reason));
    this.#controller?.abort(new Error('given up'));
  };

  constructor(
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal,
    now: () => number,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#now = now;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
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

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size <= maxBodyBytes) return;
    this.#answered();
    controller.abort(new Error('enough was read'));
  }

  onResponseEnd(): void {
    this.#answered();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // A body that breaks off changes nothing about the status that came before it.
    if (this.#status !== 0) this.#answered();
    else this.#end(() => this.#reject(new ExchangeError(exchangeText(error), this.#status !== 0, error)));
  }

  #answered(): void {
    this.#end(() =>
      this.#resolve({
        status: this.#status,
        headers: this.#headers,
        body: Buffer.concat(this.#chunks).subarray(0, maxBodyBytes),
        firstByteAt: this.#firstByteAt,
      }),
    );
  }

  #end(outcome: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    outcome();
  }
}

function exchangeText(error: Error): string {
  const code = errorCode(error) ?? '';
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return `the answer has more than ${maxHeaderBytes / 1024} KiB of headers`;
  if (code.startsWith('HPE_')) return 'the answer is not HTTP';
  return 'the connection was closed before an answer came';
}
