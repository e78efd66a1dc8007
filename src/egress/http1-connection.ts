import type { TLSSocket } from 'node:tls';
import { Client, type Dispatcher, errors } from 'undici';
import { AnswerCollector, flatHeaders } from './answer-collector.ts';
import {
  type Answer,
  type Connection,
  closedEarly,
  type Exchange,
  ExchangeError,
  headersTooLong,
  maxHeaderBytes,
  notHttp,
  type RequestFate,
} from './connection.ts';
import type { Patience } from './patience.ts';
import { maxLifeMs } from './pool.ts';
import type { Target } from './target.ts';

/** A connection that speaks HTTP/1.1. */
export class Http1Connection implements Connection {
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

  get isOpen(): boolean {
    return this.#isOpen;
  }

  post({ path, headers, body }: Exchange, patience: Patience, now: () => number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const collector = new AnswerCollector(patience, now, (ending) => {
        if (!('answer' in ending && ending.isWhole)) void this.destroy();
        if ('answer' in ending) resolve(ending.answer);
        else reject(ending.error);
      });
      const readBefore = this.#socket.bytesRead;
      const fate = (): RequestFate => (this.#socket.bytesRead === readBefore ? 'silent' : 'unknown');
      this.#client.dispatch({ method: 'POST', path, headers, body }, new AnswerHandler(collector, fate));
    });
  }

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

/** What undici calls as an answer comes. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #collector: AnswerCollector;
  readonly #fate: () => RequestFate;

  constructor(collector: AnswerCollector, fate: () => RequestFate) {
    this.#collector = collector;
    this.#fate = fate;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#collector.isOver) controller.abort(new Error('given up'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status >= 200) this.#collector.begin(status, flatHeaders(headers));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#collector.add(chunk);
  }

  onResponseEnd(): void {
    this.#collector.finish();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#collector.fail(new ExchangeError(exchangeText(error), this.#fate(), error));
  }
}

function exchangeText(error: Error): string {
  if (error instanceof errors.HeadersOverflowError) return headersTooLong;
  return error instanceof errors.HTTPParserError ? notHttp : closedEarly;
}
