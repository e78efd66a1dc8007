import { createServer, type Server } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { errorCode, TelosError, toError } from '../base/errors.ts';
import { type AppOptions, createApp } from './app.ts';

export interface HttpServerOptions extends Omit<AppOptions, 'loopback'> {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export interface HttpServer {
  /** Where it listens: `http://127.0.0.1:8484`. */
  readonly url: string;
  /** Takes no more connections; resolves when requests under way are answered. */
  close(): Promise<void>;
}

/** The port or address cannot be had. */
export class ListenError extends TelosError {
  constructor(host: string, port: number, cause: Error) {
    super('Listen', `cannot listen on ${host}:${port}: ${listenRemedy(cause)}`, { cause });
  }
}

/** Requests must arrive within this: a sender of one byte a minute cannot keep a connection. */
const requestTimeoutMs = 60_000;

/** Starts the HTTP face. @throws ListenError */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { host, port } = options;
  const app = createApp({ ...options, loopback: isLoopback(host) });
  const listener = getRequestListener(app.fetch);
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    void listener(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(host, port, toError(error))));
    server.listen(port, host, resolve);
  });
  return { url: urlOf(server.address() as AddressInfo), close: () => close(server) };
}

function listenRemedy(cause: Error): string {
  switch (errorCode(cause)) {
    case 'EADDRINUSE':
      return 'the port is in use: stop what uses it, or choose another with --port';
    case 'EACCES':
      return 'not permitted: choose a port from 1024 up with --port';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address: choose another with --host';
    default:
      return `${cause.message}: choose another with --host and --port`;
  }
}

/** Whether only this machine reaches what listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** A request may take so long to end once the server closes; a stalled upload must not hold the engine. */
const drainMs = 5_000;

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
