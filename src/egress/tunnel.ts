import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import { connectText, DialError } from './dial-error.ts';
import { TimedOut } from './patience.ts';
import { guarded } from './socket-wait.ts';
import { tlsText } from './trust.ts';

export interface TunnelOptions {
  /** The operator's, and not itself vetted. */
  readonly proxy: URL;
  /** Who is trusted as a receiver is trusted as a proxy. */
  readonly context: SecureContext;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** `host:port` of a proxy. */
export function proxyHostPort(proxy: URL): string {
  return `${proxy.hostname}:${proxyPort(proxy)}`;
}

/** CONNECTs through the proxy to `where`, a vetted `address:port`. @throws DialError, or the signal's reason */
export function openTunnel(options: TunnelOptions, where: string, signal: AbortSignal): Promise<Socket> {
  const { proxy, context, clock, timeoutMs } = options;
  const fault = (what: string, cause?: Error, isOfAddress = false): DialError =>
    new DialError('Proxy', `the proxy ${proxy.host} ${what}`, where, cause, isOfAddress);
  /** With 5xx a proxy may mean the address: it reaches no IPv6, or nobody is there. */
  const denial = (status = 0): DialError => fault(`answered ${status} to CONNECT`, undefined, status >= 500);
  return new Promise((resolve, reject) => {
    const host = proxy.hostname.replace(/^\[|\]$/g, '');
    const connect = {
      host,
      // Else it would be taken from the Host header, which names the receiver.
      servername: isIP(host) === 0 ? host : '',
      port: proxyPort(proxy),
      method: 'CONNECT',
      path: where,
      headers: { host: where, ...proxyAuthorization(proxy) },
      agent: false,
      secureContext: context,
      // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0 would else switch the check off.
      rejectUnauthorized: true,
    };
    const request = proxy.protocol === 'https:' ? httpsRequest(connect) : httpRequest(connect);
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
    const onTimeout = (): void => fail(fault('did not answer in time'));
    const onAbort = (): void => (signal.reason instanceof TimedOut ? onTimeout() : fail(signal.reason));
    const cancel = clock.after(timeoutMs, onTimeout);
    signal.addEventListener('abort', onAbort, { once: true });
    request.on('error', (error) => fail(fault(`cannot be used: ${proxyText(error)}`, error)));
    request.on('response', (response) => fail(denial(response.statusCode)));
    request.on('connect', (response, tunnel, head) => {
      const socket = guarded(tunnel);
      const { statusCode = 0 } = response;
      if (statusCode >= 200 && statusCode <= 299 && head.length === 0) return end(() => resolve(socket));
      socket.destroy();
      fail(
        head.length > 0 && statusCode <= 299
          ? fault('sent data before it was asked for')
          : denial(statusCode),
      );
    });
    request.end();
  });
}

function proxyPort({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

function proxyText(error: Error): string {
  const code = errorCode(error) ?? '';
  if (code.startsWith('HPE_')) return 'it does not speak HTTP';
  return /CERT|SIGNED|VERIFY|ISSUER|SSL/.test(code) ? tlsText(error) : connectText(error);
}
