import { setMaxListeners } from 'node:events';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { StoreError } from '../errors.ts';
import type { Cluster } from './cluster.ts';
import type { ClientCertificate, Credential } from './credentials.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the server's URL, with the query. */
  readonly path: string;
  /** JSON. */
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  /** Whether the answer may take as long as it takes, until the signal aborts. */
  readonly isPatient?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the API server answered, whatever it is. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
}

/** An answer that goes on, or one that ended the matter. */
export type ApiStream = { readonly chunks: AsyncIterable<Uint8Array> } | { readonly answer: ApiAnswer };

/** Connections for everything but watches; more requests wait for one of them. */
const maxConnections = 32;
/** Below the 90 s after which an API server closes a connection that nobody uses. */
const keepAliveMs = 60_000;
const connectTimeoutMs = 10_000;
/** The API server gives up after 60 s and says so. */
const answerTimeoutMs = 75_000;
/** Tries of one request, the first counted. */
const maxTries = 5;
/** The longest that one `Retry-After` is obeyed. */
const maxPauseMs = 30_000;
/** How long `close` waits for requests that are under way. */
const closeTimeoutMs = 10_000;

/**
 * HTTP to one API server, over kept connections. It waits and tries again where nothing can have happened twice: when
 * the server says that it is too busy, when no connection came about, and whatever became of a GET. A write whose
 * answer was lost is not repeated: the caller must look.
 */
export class Transport {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #dispatchers: Dispatchers | undefined;
  #closed: Promise<void> | undefined;

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
    // Everything that waits to ask again listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  /** What messages call the API server. */
  get name(): string {
    return `Kubernetes API ${this.#cluster.server.origin} (${this.#cluster.name})`;
  }

  /** @throws StoreError `Unavailable` when there was no answer; the signal's reason when it aborts first. */
  async send(request: ApiRequest): Promise<ApiAnswer> {
    return this.#trying(request, async (credential) => {
      const response = await this.#dispatch(request, credential, false);
      const body = await response.body.text();
      return {
        status: response.statusCode,
        retryAfter: retryAfterOf(response),
        result: { status: response.statusCode, body },
      };
    });
  }

  /** Opens a GET whose answer goes on until the signal aborts or the server ends it. Throws as `send` does. */
  async stream(request: ApiRequest): Promise<ApiStream> {
    return this.#trying<ApiStream>(request, async (credential) => {
      const { statusCode: status, ...response } = await this.#dispatch(request, credential, true);
      if (status === 200) return { status, retryAfter: undefined, result: { chunks: response.body } };
      const body = await response.body.text();
      return { status, retryAfter: retryAfterOf(response), result: { answer: { status, body } } };
    });
  }

  /** Waits for what is under way, ends the streams, and lets go of all connections. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    const dispatchers = this.#dispatchers;
    if (dispatchers === undefined) return;
    const giveUp = (): void => void dispatchers.requests.destroy();
    const cancel = this.#clock.after(closeTimeoutMs, giveUp);
    await Promise.all([dispatchers.requests.close(), dispatchers.streams.destroy()]);
    cancel();
  }

  async #trying<T>(
    { method, signal }: ApiRequest,
    attempt: (
      credential: Credential,
    ) => Promise<{ readonly status: number; readonly retryAfter: number | undefined; readonly result: T }>,
  ): Promise<T> {
    let renewed = false;
    for (let tries = 1; ; tries += 1) {
      signal?.throwIfAborted();
      if (this.#closing.signal.aborted) throw this.#isClosed();
      const credential = await this.#cluster.credentials.current(signal);
      let pauseMs: number;
      try {
        const { status, retryAfter, result } = await attempt(credential);
        if (status === 401 && !renewed && this.#cluster.credentials.renew(credential)) {
          renewed = true;
          continue;
        }
        if (tries === maxTries || !mayAskAgain(method, status, retryAfter)) return result;
        pauseMs = Math.min((retryAfter ?? 1) * 1000, maxPauseMs);
      } catch (thrown) {
        signal?.throwIfAborted();
        if (tries === maxTries || !(method === 'GET' || wasNotSent(thrown)))
          throw this.#isUnreachable(thrown);
        pauseMs = 50 * 2 ** tries;
      }
      await this.#pause(pauseMs, signal);
    }
  }

  #dispatch(
    { method, path, body, contentType, isPatient = false, signal }: ApiRequest,
    { authorization, clientCertificate }: Credential,
    isStream: boolean,
  ): Promise<Dispatcher.ResponseData> {
    const { server } = this.#cluster;
    const dispatchers = this.#dispatchersFor(clientCertificate);
    return (isStream ? dispatchers.streams : dispatchers.requests).request({
      origin: server.origin,
      path: server.pathname.replace(/\/$/, '') + path,
      method,
      headers: {
        accept: 'application/json',
        'user-agent': 'telos',
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
      headersTimeout: isPatient ? 0 : answerTimeoutMs,
      bodyTimeout: isStream ? 0 : answerTimeoutMs,
    });
  }

  /** The kept connections belong to one client certificate: a new one begins anew. */
  #dispatchersFor(certificate: ClientCertificate | undefined): Dispatchers {
    const old = this.#dispatchers;
    if (old !== undefined && isSame(old.certificate, certificate)) return old;
    this.#dispatchers = openDispatchers(this.#cluster, certificate);
    // What is under way ends as it began.
    void old?.requests.close();
    void old?.streams.close();
    return this.#dispatchers;
  }

  /** Waits somewhat longer than asked, so that many who wait do not come back at once. */
  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const closing = this.#closing.signal;
    const ended = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    try {
      await sleep(ms * (1 + Math.random() / 4), ended, this.#clock);
    } catch (thrown) {
      signal?.throwIfAborted();
      throw closing.aborted ? this.#isClosed() : thrown;
    }
  }

  #isClosed(): StoreError {
    return new StoreError('Unavailable', `${this.name}: is closed`);
  }

  #isUnreachable(thrown: unknown): StoreError {
    if (this.#closing.signal.aborted) return this.#isClosed();
    const { what, remedy } = connectionWords(toError(thrown));
    return new StoreError('Unavailable', `${this.name}: ${what}: ${remedy}`, { cause: thrown });
  }
}

/** Streams hold a connection each, so they must not take those of the requests. */
interface Dispatchers {
  readonly certificate: ClientCertificate | undefined;
  readonly requests: Dispatcher;
  readonly streams: Dispatcher;
}

function openDispatchers({ tls, proxy }: Cluster, certificate: ClientCertificate | undefined): Dispatchers {
  const connect = {
    timeout: connectTimeoutMs,
    rejectUnauthorized: !tls.skipVerify,
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...certificate,
  };
  const kept = { keepAliveTimeout: keepAliveMs, keepAliveMaxTimeout: keepAliveMs, pipelining: 1 };
  const open = (connections: number | null): Dispatcher =>
    proxy === undefined
      ? new Agent({ ...kept, connections, connect })
      : new ProxyAgent({ ...kept, connections, uri: proxy.href, requestTls: connect });
  return { certificate, requests: open(maxConnections), streams: open(null) };
}

function isSame(a: ClientCertificate | undefined, b: ClientCertificate | undefined): boolean {
  return a?.cert === b?.cert && a?.key === b?.key;
}

/**
 * Too busy (429): nothing was done, so anybody may ask again. An API server that is starting, ending or waiting for
 * its storage answers 5xx, perhaps after it has written: only who reads may.
 */
function mayAskAgain(method: ApiRequest['method'], status: number, retryAfter: number | undefined): boolean {
  return status === 429 || (method === 'GET' && status >= 500 && retryAfter !== undefined);
}

/** Seconds; undefined when the header is not there or is a date, which API servers do not write. */
function retryAfterOf({ headers }: Pick<Dispatcher.ResponseData, 'headers'>): number | undefined {
  const value = headers['retry-after'];
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : undefined;
}

/** Errors of a connection that never came about. */
const notConnected: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function wasNotSent(thrown: unknown): boolean {
  if (thrown instanceof AggregateError) return thrown.errors.every(wasNotSent);
  return notConnected.has(errorCode(thrown));
}

/** What went wrong with a connection, and what to do about it. */
function connectionWords(error: Error): { readonly what: string; readonly remedy: string } {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code = errorCode(first) ?? '';
  switch (code) {
    case 'ECONNREFUSED':
      return {
        what: 'the connection is refused',
        remedy: 'check that it runs, and the server in the kubeconfig',
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return { what: `its name is not known (${code})`, remedy: 'check the server in the kubeconfig' };
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return { what: 'does not answer in time', remedy: 'check the network between here and there' };
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return {
        what: 'the connection broke',
        remedy: 'what was written may have taken effect: look, then try again',
      };
    default:
      if (/^(ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_SSL|HOSTNAME_MISMATCH)/.test(code)) {
        return {
          what: `its certificate is not trusted (${code})`,
          remedy: 'check certificate-authority in the kubeconfig',
        };
      }
      return { what: `${toError(first).message.split('\n', 1)[0] ?? ''}`, remedy: 'check the kubeconfig' };
  }
}
