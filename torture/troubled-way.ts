import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/**
 * The way from engines to an API server, on loopback. It speaks plain HTTP to them, so that it can see what is asked.
 */
export class TroubledWay {
  /** Whether each watch is told that the version it goes on from is too old. */
  forgetful = false;
  /** Watches that were told so. */
  forgotten = 0;
  readonly #target: URL;
  readonly #server: Server;
  readonly #onward: Agent;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string, ca: string | undefined) {
    this.#target = new URL(target);
    this.#onward = new Agent({ keepAlive: true, ...(ca && { ca }) });
    this.#server = createServer((incoming, outgoing) => this.#pass(incoming, outgoing));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
  }

  static async open(target: string, ca: string | undefined): Promise<TroubledWay> {
    const way = new TroubledWay(target, ca);
    await new Promise<void>((resolve) => way.#server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection that is open, whatever is on it; returns how many there were. */
  cut(): number {
    const count = this.#sockets.size;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    return count;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    this.#onward.destroy();
    await closed;
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', headers } = incoming;
    const path = this.#aged(incoming.url ?? '/');
    const { host, hostname, port } = this.#target;
    const options = { method, path, hostname, port, headers: { ...headers, host }, agent: this.#onward };
    const onward = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('error', () => outgoing.destroy());
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('error', () => {}).on('close', () => onward.destroy());
    incoming.pipe(onward);
  }

  /** The API server keeps no version as old as 1: what it says then is its own. */
  #aged(path: string): string {
    if (!this.forgetful || !path.includes('watch=true')) return path;
    this.forgotten += 1;
    return path.replace(/resourceVersion=\d+/, 'resourceVersion=1');
  }
}
