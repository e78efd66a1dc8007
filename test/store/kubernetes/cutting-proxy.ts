import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Connection } from '../../cluster/kit/kubeconfig.ts';

/** Something between a client and an API server. */
export interface Proxy {
  /** Where clients go instead of the API server. */
  readonly url: string;
  close(): Promise<void>;
}

/** Passes bytes on; `cut` breaks every connection that is open. */
export async function startCuttingProxy(server: string): Promise<Proxy & { cut(): number }> {
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const proxy = createServer((inbound) => {
    const onward = keep(connect(Number(port), hostname));
    keep(inbound).pipe(onward).pipe(inbound);
    inbound.on('close', () => onward.destroy());
    onward.on('close', () => inbound.destroy());
  });
  const cut = (): number => {
    const count = sockets.size;
    for (const socket of sockets) socket.resetAndDestroy();
    return count;
  };
  return { url: `https://127.0.0.1:${await listen(proxy)}`, cut, close: () => closeServer(proxy, cut) };
}

/** Passes requests on, each path changed first by what is told of method and path. It speaks plain HTTP to the client. */
export async function startRewritingProxy(
  { server, ca, cert, key }: Connection,
  rewrite: (path: string, method: string) => string,
): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const send = server.startsWith('https:') ? httpsRequest : httpRequest;
  const proxy = createHttpServer((incoming, outgoing) => {
    const { method = 'GET', headers, url = '/' } = incoming;
    const options = {
      method,
      headers: { ...headers, host: new URL(server).host },
      ca,
      cert,
      key,
      agent: false,
    };
    const onward = send(new URL(rewrite(url, method), server), options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('error', () => outgoing.destroy());
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  proxy.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${await listen(proxy)}`, close: () => closeServer(proxy, end) };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function closeServer(server: Server, end: () => unknown): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  end();
  await closed;
}
