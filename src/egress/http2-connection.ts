import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { errorCode, toError } from '../base/errors.ts';
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
import { Http2Wire } from './http2-wire.ts';
import type { Patience } from './patience.ts';
import type { Target } from './target.ts';

/** What one header costs besides its text, as HTTP/2 counts (RFC 9113, 6.5.2). */
const headerOverheadBytes = 32;

/** A connection that speaks HTTP/2, for receivers that choose it: with the limits of HTTP/1.1, and no push. */
export class Http2Connection implements Connection {
  readonly target: Target;
  readonly address: string;
  readonly openedAt: number;
  readonly #session: ClientHttp2Session;
  readonly #onClose: () => void;
  #isOpen = true;
  /** Of what is under way. */
  #collector: AnswerCollector | undefined;
  /** The last stream that a goodbye of the other side counts in. */
  #lastStream: number | undefined;

  constructor(socket: TLSSocket, target: Target, address: string, openedAt: number, onClose: () => void) {
    this.target = target;
    this.address = address;
    this.openedAt = openedAt;
    this.#onClose = onClose;
    // Before the session hears of it, which ends what is under way: by then it must be known that nobody is there.
    for (const event of ['end', 'close', 'error']) socket.on(event, () => this.#close());
    this.#session = connect(target.origin, {
      // The socket was vetted and dialled before; there is no second one.
      createConnection: () => new Http2Wire(socket, () => this.#onViolation()),
      // A small window, since no more than 4 KiB of a body is read.
      settings: { enablePush: false, initialWindowSize: 16_384, maxHeaderListSize: maxHeaderBytes },
      // So many that only their size counts.
      maxHeaderListPairs: maxHeaderBytes / headerOverheadBytes,
    });
    // Whoever says goodbye gets no further request; what is under way may end.
    this.#session.on('goaway', (_code, lastStream) => {
      this.#lastStream = lastStream;
      this.#close();
      if (this.#collector === undefined) void this.destroy();
    });
    this.#session.on('error', () => this.#close());
    this.#session.once('close', () => this.#close());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  post(exchange: Exchange, patience: Patience, now: () => number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const collector = new AnswerCollector(patience, now, (ending) => {
        this.#collector = undefined;
        if (!('answer' in ending && ending.isWhole)) void this.destroy();
        if ('answer' in ending) resolve(ending.answer);
        else reject(ending.error);
      });
      if (collector.isOver) return;
      this.#collector = collector;
      try {
        const stream = this.#request(exchange);
        collect(stream, collector, () => this.#fate(stream));
      } catch (thrown) {
        collector.fail(new ExchangeError(closedEarly, 'unprocessed', toError(thrown)));
      }
    });
  }

  async destroy(): Promise<void> {
    this.#close();
    // Destroys the socket too; whoever destroys that as well leaves it half open.
    this.#session.destroy();
  }

  /** Of a request whose stream has closed without a word of an answer. */
  #fate({ id = 0, rstCode }: ClientHttp2Stream): RequestFate {
    // Both promise that nothing was done (RFC 9113, 8.7).
    const isLeftOut = this.#lastStream !== undefined && id > this.#lastStream;
    if (isLeftOut || rstCode === constants.NGHTTP2_REFUSED_STREAM) return 'unprocessed';
    // Whoever resets one stream, or counts it in, has seen it.
    return this.#isOpen || this.#lastStream !== undefined ? 'unknown' : 'silent';
  }

  #request({ path, headers, body }: Exchange): ClientHttp2Stream {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const stream = this.#session.request({
      ...headers,
      ':method': 'POST',
      ':scheme': 'https',
      ':authority': this.target.origin.slice('https://'.length),
      ':path': path,
      'content-length': String(bytes.length),
    });
    return stream.end(bytes);
  }

  /** The other side has broken the protocol: nothing more will come. */
  #onViolation(): void {
    this.#collector?.fail(new ExchangeError(notHttp, 'unknown'));
    void this.destroy();
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onClose();
  }
}

function collect(stream: ClientHttp2Stream, collector: AnswerCollector, fate: () => RequestFate): void {
  let failure: Error | undefined;
  let hasEnded = false;
  let hasBegun = false;
  stream.on('headers', () => {
    hasBegun = true;
  });
  stream.on('response', ({ ':status': status = 0, ...headers }) =>
    collector.begin(status, flatHeaders(headers)),
  );
  stream.on('data', (chunk: Buffer) => collector.add(chunk));
  stream.on('end', () => {
    hasEnded = true;
  });
  stream.on('error', (error) => {
    failure = error;
  });
  // A stream that is reset ends as well; only here is it known how.
  stream.on('close', () => {
    if (hasEnded && stream.rstCode === constants.NGHTTP2_NO_ERROR) collector.finish();
    else {
      const text = exchangeText(stream, failure);
      const isUnanswered = !hasBegun && text === closedEarly;
      collector.fail(new ExchangeError(text, isUnanswered ? fate() : 'unknown', failure));
    }
  });
}

function exchangeText(stream: ClientHttp2Stream, failure: Error | undefined): string {
  // Said by this side of too many headers, and by the other of too many requests.
  if (stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM)
    return `${headersTooLong}, or the receiver wants calm`;
  const isProtocolError = stream.rstCode === constants.NGHTTP2_PROTOCOL_ERROR;
  return isProtocolError || errorCode(failure) === 'ERR_HTTP2_ERROR' ? notHttp : closedEarly;
}
