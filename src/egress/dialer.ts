import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { errorCode, TelosError, toError } from '../base/errors.ts';
import { normalAddress } from './address-policy.ts';
import type { Target } from './target.ts';

/** Why no connection came about. Each is a reason of a failed attempt. */
export type DialFailure = 'Connect' | 'TLS' | 'Timeout' | 'Proxy';

export class DialError extends TelosError {
  declare readonly code: DialFailure;
  /** What was dialled last. */
  readonly address: string | undefined;

  constructor(code: DialFailure, message: string, address: string | undefined, cause?: Error) {
    super(code, message, { cause });
    this.address = address;
  }
}

/** A connection to a vetted address, TLS done. Times in milliseconds. */
export interface Dialled {
  readonly socket: TLSSocket;
  /** `address:port`, IPv6 in brackets. */
  readonly address: string;
  readonly connectMs: number;
  readonly tlsMs: number;
}

export interface DialerOptions {
  readonly proxy: URL | undefined;
  readonly caPem: string | undefined;
  readonly clock: Clock;
  /** Told of each socket that is opened, before it is. */
  readonly onDial: (address: string) => void;
}

/** All addresses together may take so long to connect; TLS has what is left of the whole attempt. */
const connectTimeoutMs = 5_000;
/** What each address gets at the least, while others wait for their turn. */
const shortestTryMs = 1_000;

/** Connects to addresses that were vetted, and to nothing else. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #context: SecureContext;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#context = createSecureContext({ minVersion: 'TLSv1.2' });
    if (options.caPem === undefined) return;
    // Adds to the usual anchors, where the option `ca` would replace them.
    this.#context.context.addCACert(options.caPem);
    // Node 20 leaves out those of NODE_EXTRA_CA_CERTS once a context gets anchors of its own.
    for (const pem of extraAnchors()) this.#context.context.addCACert(pem);
  }

  /** Tries one address after the other. @throws DialError, or the signal's reason */
  async dial(target: Target, addresses: readonly string[], signal: AbortSignal): Promise<Dialled> {
    const { clock } = this.#options;
    const began = clock.monotonic();
    let failure: unknown;
    for (const [index, address] of addresses.entries()) {
      const leftMs = connectTimeoutMs - (clock.monotonic() - began);
      if (leftMs <= 0) break;
      const tryMs = Math.max(Math.min(leftMs, shortestTryMs), leftMs / (addresses.length - index));
      try {
        const socket = await this.#reach(address, target, tryMs, signal);
        const connectedAt = clock.monotonic();
        const tls = await this.#secure(socket, target, address, signal);
        const tlsMs = clock.monotonic() - connectedAt;
        return {
          socket: tls,
          address: hostPort(address, target.port),
          connectMs: connectedAt - began,
          tlsMs,
        };
      } catch (thrown) {
        signal.throwIfAborted();
        failure = thrown;
        // Another address would present the same certificate, and the proxy is one for all.
        if (!(thrown instanceof DialError) || (thrown.code !== 'Connect' && thrown.code !== 'Timeout')) break;
      }
    }
    throw failure ?? new DialError('Timeout', `${target.origin} did not connect in time`, undefined);
  }

  async #reach(address: string, target: Target, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
    const { proxy, onDial } = this.#options;
    const where = hostPort(address, target.port);
    if (proxy !== undefined) return this.#tunnel(proxy, address, target, timeoutMs, signal);
    onDial(where);
    const socket = guarded(connectTcp({ host: address, port: target.port, noDelay: true, keepAlive: true }));
    await this.#settled(socket, 'connect', timeoutMs, signal, (error) =>
      error === undefined
        ? new DialError('Timeout', `${where} did not answer within ${Math.round(timeoutMs)} ms`, where)
        : new DialError('Connect', `${where}: ${connectText(error)}`, where, error),
    );
    // What was vetted is what is connected to, whatever the system's routing did.
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || normalAddress(remoteAddress) !== address) {
      socket.destroy();
      const what = remoteAddress === undefined ? 'connection reset' : 'connected to another address';
      throw new DialError('Connect', `${where}: ${what}`, where);
    }
    return socket;
  }

  /** CONNECT to the vetted address through the operator's proxy, which is not itself vetted. */
  #tunnel(
    proxy: URL,
    address: string,
    target: Target,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    const where = hostPort(address, target.port);
    signal.throwIfAborted();
    const fault = (what: string, cause?: Error): DialError =>
      new DialError('Proxy', `the proxy ${proxy.host} ${what}`, where, cause);
    this.#options.onDial(where);
    return new Promise((resolve, reject) => {
      const options = {
        host: proxy.hostname.replace(/^\[|\]$/g, ''),
        port: proxy.port === '' ? (proxy.protocol === 'https:' ? 443 : 80) : Number(proxy.port),
        method: 'CONNECT',
        path: where,
        headers: { host: where, ...proxyAuthorization(proxy) },
        agent: false,
        // Who is trusted as a receiver is trusted as a proxy.
        secureContext: this.#context,
        rejectUnauthorized: true,
      };
      const request = proxy.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
      const end = (outcome: () => void): void => {
        cancel();
        signal.removeEventListener('abort', onAbort);
        outcome();
      };
      const fail = (error: unknown): void =>
        end(() => {
          request.destroy();
          reject(error);
        });
      const onAbort = (): void => fail(signal.reason);
      const cancel = this.#options.clock.after(timeoutMs, () => fail(fault('did not answer in time')));
      signal.addEventListener('abort', onAbort, { once: true });
      request.on('error', (error) => fail(fault(`cannot be used: ${connectText(error)}`, error)));
      request.on('response', (response) => fail(fault(`answered ${response.statusCode} to CONNECT`)));
      request.on('connect', (response, tunnel, head) => {
        const socket = guarded(tunnel);
        const status = response.statusCode ?? 0;
        if (status < 200 || status > 299) {
          socket.destroy();
          fail(fault(`answered ${status} to CONNECT`));
        } else if (head.length > 0) {
          socket.destroy();
          fail(fault('sent data before it was asked for'));
        } else end(() => resolve(socket));
      });
      request.end();
    });
  }

  async #secure(socket: Socket, target: Target, address: string, signal: AbortSignal): Promise<TLSSocket> {
    const where = hostPort(address, target.port);
    const tls = guarded(
      connectTls({
        socket,
        host: target.host,
        // No server name for a literal: the certificate is then held against `host`.
        servername: target.isLiteral ? '' : target.host,
        secureContext: this.#context,
        ALPNProtocols: ['http/1.1'],
        // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0 would else switch the check off.
        rejectUnauthorized: true,
      }),
    );
    await this.#settled(
      tls,
      'secureConnect',
      undefined,
      signal,
      (error) => new DialError('TLS', `${target.origin}: ${tlsText(error)}`, where, error),
    );
    return tls;
  }

  /** Waits for an event of a socket; destroys it when that does not come. */
  #settled(
    socket: Socket,
    event: 'connect' | 'secureConnect',
    timeoutMs: number | undefined,
    signal: AbortSignal,
    failure: (error: Error | undefined) => DialError,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (outcome: () => void): void => {
        cancel();
        signal.removeEventListener('abort', onAbort);
        socket.off(event, onReady).off('error', onError).off('close', onClose);
        outcome();
      };
      const fail = (error: unknown): void =>
        end(() => {
          socket.destroy();
          reject(error);
        });
      const onReady = (): void => end(resolve);
      const onError = (error: Error): void => fail(failure(error));
      const onClose = (): void => fail(failure(new Error('the connection was closed')));
      const onAbort = (): void => fail(signal.reason);
      const cancel =
        timeoutMs === undefined
          ? () => {}
          : this.#options.clock.after(timeoutMs, () => fail(failure(undefined)));
      socket.once(event, onReady).once('error', onError).once('close', onClose);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** What Node was told to trust besides its own list. Node has warned already of a file that it cannot read. */
function extraAnchors(): readonly string[] {
  const path = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  try {
    return path === '' ? [] : [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}

/**
 * An error may come while a socket goes from hand to hand and nobody listens. That must not bring the process
 * down: whoever takes the socket next sees that it is destroyed.
 */
function guarded<S extends Socket>(socket: S): S {
  socket.on('error', () => {});
  return socket;
}

function hostPort(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

function connectText(error: Error): string {
  switch (errorCode(error)) {
    case 'ECONNREFUSED':
      return 'connection refused: nothing listens there';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route to that address';
    case 'ECONNRESET':
      return 'connection reset';
    default:
      return errorCode(error) ?? 'cannot connect';
  }
}

function tlsText(thrown: Error | undefined): string {
  const error = toError(thrown);
  switch (errorCode(error)) {
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet: check the clocks';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'CERT_SIGNATURE_FAILURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'its certificate is signed by nobody we trust: give the authority with --ca-file';
    default:
      return `the TLS handshake failed (${errorCode(error) ?? 'closed by the other side'})`;
  }
}
