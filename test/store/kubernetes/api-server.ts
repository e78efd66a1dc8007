import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type Clock, systemClock } from '../../../src/base/clock.ts';
import type { Cluster, TlsSettings } from '../../../src/store/kubernetes/cluster.ts';
import { type Credentials, fixedCredentials } from '../../../src/store/kubernetes/credentials.ts';
import { Transport } from '../../../src/store/kubernetes/transport.ts';

/** A request that came, and what answers it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: string;
}

/** A server on loopback that says what an API server might, and counts connections. */
export class ScriptedApiServer {
  readonly server: Server;
  readonly exchanges: Exchange[] = [];
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #transports: Transport[] = [];
  readonly #tls: boolean;

  constructor(answer: (exchange: Exchange, count: number) => void, tls?: ServerOptions) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        const exchange = { request, response, body };
        this.exchanges.push(exchange);
        answer(exchange, this.exchanges.length);
      });
    };
    this.#tls = tls !== undefined;
    this.server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
    this.server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => {});
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** A transport to it. */
  transport(
    settings: {
      readonly credentials?: Credentials;
      readonly tls?: Partial<TlsSettings>;
      readonly proxy?: URL;
      readonly path?: string;
      readonly clock?: Clock;
    } = {},
  ): Transport {
    const cluster: Cluster = {
      name: 'test',
      server: new URL(`${this.#tls ? 'https' : 'http'}://127.0.0.1:${this.port}${settings.path ?? ''}`),
      tls: { ca: undefined, serverName: undefined, skipVerify: false, ...settings.tls },
      proxy: settings.proxy,
      credentials: settings.credentials ?? fixedCredentials({}),
      warnings: [],
    };
    const transport = new Transport(cluster, settings.clock ?? systemClock);
    this.#transports.push(transport);
    return transport;
  }

  async close(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close()));
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
