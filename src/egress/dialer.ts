import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { normalAddress } from './address-policy.ts';
import { connectText, DialError, hostPort } from './dial-error.ts';
import type { Patience } from './patience.ts';
import { guarded, socketReady } from './socket-wait.ts';
import type { Target } from './target.ts';
import { tlsText, trustedContext } from './trust.ts';
import { openTunnel, proxyHostPort } from './tunnel.ts';

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
  /** Told where each socket goes, before it is opened: to the address, or to the proxy when there is one. */
  readonly onDial: (hostPort: string) => void;
}

/** All addresses together may take so long to connect, TLS included. */
const connectTimeoutMs = 5_000;
/** What each address gets at the least, while others wait for their turn. */
const shortestTryMs = 1_000;

/** Connects to addresses that were vetted, and to nothing else. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #context: SecureContext;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#context = trustedContext(options.caPem);
  }

  /**
   * Tries one address after the other, for 5 s or as long as patience lasts: time that is up here is a fault of
   * connecting. @throws DialError, or the caller's reason
   */
  async dial(target: Target, addresses: readonly string[], patience: Patience): Promise<Dialled> {
    const { clock } = this.#options;
    const { signal } = patience;
    const began = clock.monotonic();
    const limitMs = Math.min(connectTimeoutMs, patience.leftMs);
    const leftMs = (): number => limitMs - (clock.monotonic() - began);
    let failure: unknown;
    for (const [index, address] of addresses.entries()) {
      if (leftMs() <= 0) break;
      const others = addresses.length - index - 1;
      const tryMs = Math.max(Math.min(leftMs(), shortestTryMs), leftMs() / (others + 1));
      try {
        const socket = await this.#reach(address, target, tryMs, signal);
        const connectedAt = clock.monotonic();
        // An address that accepts and then is silent must leave time for another.
        const tls = await this.#secure(socket, target, address, leftMs() / (others > 0 ? 2 : 1), signal);
        return {
          socket: tls,
          address: hostPort(address, target.port),
          connectMs: connectedAt - began,
          tlsMs: clock.monotonic() - connectedAt,
        };
      } catch (thrown) {
        failure = thrown;
        if (signal.aborted || !(thrown instanceof DialError && thrown.isOfAddress)) break;
      }
    }
    throw failure ?? new DialError('Timeout', `${target.origin} did not connect in time`);
  }

  async #reach(address: string, target: Target, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
    const { proxy, clock, onDial } = this.#options;
    const where = hostPort(address, target.port);
    signal.throwIfAborted();
    if (proxy !== undefined) {
      onDial(proxyHostPort(proxy));
      return openTunnel({ proxy, context: this.#context, clock, timeoutMs }, where, signal);
    }
    onDial(where);
    const socket = guarded(connectTcp({ host: address, port: target.port, noDelay: true, keepAlive: true }));
    const failure = (cause: Error | undefined): DialError =>
      cause === undefined
        ? new DialError('Timeout', `${where} did not answer within ${Math.round(timeoutMs)} ms`, where)
        : new DialError('Connect', `${where}: ${connectText(cause)}`, where, cause);
    await socketReady(socket, { event: 'connect', timeoutMs, clock, failure }, signal);
    // What was vetted is what is connected to, whatever the system's routing did.
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || normalAddress(remoteAddress) !== address) {
      socket.destroy();
      const what = remoteAddress === undefined ? 'connection reset' : 'connected to another address';
      throw new DialError('Connect', `${where}: ${what}`, where);
    }
    return socket;
  }

  async #secure(
    socket: Socket,
    target: Target,
    address: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<TLSSocket> {
    const where = hostPort(address, target.port);
    const tls = guarded(
      connectTls({
        socket,
        host: target.host,
        // No server name for a literal: the certificate is then held against `host`.
        servername: target.isLiteral ? '' : target.host,
        secureContext: this.#context,
        // 1.1 is preferred, because it carries one request at a time more cheaply; the receiver chooses.
        ALPNProtocols: ['http/1.1', 'h2'],
        // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0 would else switch the check off.
        rejectUnauthorized: true,
      }),
    );
    const failure = (cause: Error | undefined): DialError =>
      cause === undefined
        ? new DialError(
            'Timeout',
            `${where} did not finish the TLS handshake within ${Math.round(timeoutMs)} ms`,
            where,
          )
        : new DialError('TLS', `${target.origin}: ${tlsText(cause)}`, where, cause);
    const { clock } = this.#options;
    await socketReady(tls, { event: 'secureConnect', timeoutMs, clock, failure }, signal);
    return tls;
  }
}
