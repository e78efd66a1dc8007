import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The server name that the TLS client asked for; empty when it asked for none. */
  readonly serverName: string;
}

export interface ReceiverOptions {
  /** Where it listens. Default `127.0.0.1`. */
  readonly address?: string;
  /** Default: one that is free. */
  readonly port?: number;
  /** DNS names that its certificate is for besides its address. Default `receiver.example`. */
  readonly names?: readonly string[];
  /** Who signs its certificate. Default: an authority of its own. */
  readonly authority?: Certificate;
  /** Instead of a certificate for address and names. */
  readonly certificate?: Certificate;
  /** Answers a request whose body has come. Default: 200 with an empty body. */
  readonly answer?: (request: ReceivedRequest, response: ServerResponse) => void;
  /** Takes the connection once TLS is done, instead of HTTP. */
  readonly afterTls?: (socket: TLSSocket) => void;
  /** Takes the connection as it is accepted, instead of TLS. */
  readonly beforeTls?: (socket: Socket) => void;
}

/** An HTTPS server on loopback that does what the test says, and counts. */
export interface Receiver {
  readonly address: string;
  readonly port: number;
  /** `https://address:port`. */
  readonly origin: string;
  /** What must be trusted to believe its certificate. */
  readonly caPem: string;
  /** Connections accepted so far. */
  readonly accepts: number;
  /** Connections open now. */
  readonly open: number;
  readonly requests: readonly ReceivedRequest[];
  /** Resolves as soon as so many requests have come in all. */
  received(count: number): Promise<void>;
  /** Resolves as soon as so many connections were accepted in all. */
  accepted(count: number): Promise<void>;
  /** Resolves as soon as no connection is open. */
  drained(): Promise<void>;
  /** Destroys every connection, and goes on listening. */
  dropConnections(): void;
  close(): Promise<void>;
}

export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const { address = '127.0.0.1', port = 0, names = ['receiver.example'] } = options;
  const authority = options.authority ?? (await makeCertificate());
  const certificate =
    options.certificate ?? (await makeCertificate({ names: [address, ...names], signedBy: authority }));
  const requests: ReceivedRequest[] = [];
  const sockets = new Set<Socket>();
  const waiting = new Set<{ done: () => boolean; resolve: () => void }>();
  let accepts = 0;

  const tell = (): void => {
    for (const waiter of waiting) {
      if (!waiter.done()) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  };
  const when = (done: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      waiting.add({ done, resolve });
      tell();
    });

  const server = makeServer(options, certificate, (request) => {
    requests.push(request);
    tell();
  });
  server.prependListener('connection', (socket: Socket) => {
    accepts += 1;
    sockets.add(socket);
    // Clients break connections off: that is what many a test is about.
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      tell();
    });
    tell();
  });
  server.listen(port, address);
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };

  return {
    address,
    port: bound,
    origin: `https://${address.includes(':') ? `[${address}]` : address}:${bound}`,
    caPem: authority.certPem,
    requests,
    get accepts() {
      return accepts;
    },
    get open() {
      return sockets.size;
    },
    received: (count) => when(() => requests.length >= count),
    accepted: (count) => when(() => accepts >= count),
    drained: () => when(() => sockets.size === 0),
    dropConnections,
    async close() {
      const closed = once(server, 'close');
      server.close();
      dropConnections();
      await closed;
    },
  };
}

function makeServer(
  options: ReceiverOptions,
  certificate: Certificate,
  onRequest: (request: ReceivedRequest) => void,
): Server {
  const { beforeTls, afterTls, answer = (_request, response) => response.end() } = options;
  const tls = { cert: certificate.certPem, key: certificate.keyPem };
  if (beforeTls !== undefined) return createTcpServer(beforeTls);
  if (afterTls !== undefined) {
    const server = createTlsServer(tls, (socket) => {
      socket.on('error', () => {});
      afterTls(socket);
    });
    return server.on('tlsClientError', () => {});
  }
  // Connections stay open until the test or the client closes them.
  const server = createHttpsServer({ ...tls, keepAliveTimeout: 0 }, (message, response) => {
    response.on('error', () => {});
    readRequest(message, (request) => {
      onRequest(request);
      answer(request, response);
    });
  });
  return server.on('tlsClientError', () => {});
}

function readRequest(message: IncomingMessage, onRequest: (request: ReceivedRequest) => void): void {
  const chunks: Buffer[] = [];
  message.on('error', () => {});
  message.on('data', (chunk: Buffer) => chunks.push(chunk));
  message.on('end', () => {
    const { method = '', url = '', headers } = message;
    const { servername } = message.socket as TLSSocket & { servername?: string | false };
    onRequest({
      method,
      path: url,
      headers,
      body: Buffer.concat(chunks),
      serverName: servername === false || servername === undefined ? '' : servername,
    });
  });
}
