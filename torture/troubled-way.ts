import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

/**
 * The way from engines to an API server, on loopback. It speaks plain HTTP to them, so that it can see what is asked, and
 * knows them apart by the first part of the path that they come on.
 */
export class TroubledWay {
  /** Whether each watch is told that the version it goes on from is too old. */
  forgetful = false;
  /** Watches that were told so. */
  forgotten = 0;
  readonly #target: URL;
  readonly #server: Server;
  readonly #onward: Agent;
  /** Who is on each connection; undefined before the first request. */
  readonly #sockets = new Map<Socket, string | undefined>();
  /** Engines that are cut off, and what goes on when they no longer are. */
  readonly #cutOff = new Map<string, (() => void)[]>();

  private constructor(target: string, ca: string | undefined) {
    this.#target = new URL(target);
    this.#onward = new Agent({ keepAlive: true, ...(ca && { ca }) });
    this.#server = createServer((incoming, outgoing) => {
      // Either end may go at any time: the other learns of it.
      this.#pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.set(socket, undefined);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
  }

  static async open(target: string, ca: string | undefined): Promise<TroubledWay> {
    const way = new TroubledWay(target, ca);
    await new Promise<void>((resolve) => way.#server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  /** The API server, for an engine of this name. */
  urlFor(engine: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${engine}`;
  }

  /** Those that have asked for something on a connection that is open. */
  get engines(): readonly string[] {
    return [...new Set([...this.#sockets.values()].filter((engine) => engine !== undefined))];
  }

  /** Breaks every connection that is open, whatever is on it, but of those cut off; returns how many there were. */
  cut(): number {
    const open = [...this.#sockets].filter(([, engine]) => engine === undefined || !this.#cutOff.has(engine));
    for (const [socket] of open) socket.resetAndDestroy();
    return open.length;
  }

  /**
   * From now on nothing that this engine asks arrives, and no answer comes back to it, though its connections stay open.
   * What was on its way arrives when it is no longer cut off, also if nobody waits for an answer any more.
   */
  cutOff(engine: string): void {
    if (!this.#cutOff.has(engine)) this.#cutOff.set(engine, []);
  }

  /** Ends what `cutOff` began. */
  reconnect(engine: string): void {
    const waiting = this.#cutOff.get(engine) ?? [];
    this.#cutOff.delete(engine);
    for (const goOn of waiting) goOn();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const engine of [...this.#cutOff.keys()]) this.reconnect(engine);
    this.cut();
    this.#onward.destroy();
    await closed;
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    outgoing.on('error', () => {});
    const [, engine = '', path = '/'] = /^\/([^/]+)(.*)$/.exec(incoming.url ?? '') ?? [];
    this.#sockets.set(incoming.socket, engine);
    const body = await buffer(incoming);
    await this.#isConnected(engine);
    const { method = 'GET', headers } = incoming;
    const answer = await this.#ask(method, this.#aged(path), headers, body, outgoing);
    await this.#isConnected(engine);
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    const isConnected = (): Promise<void> | undefined => this.#isConnected(engine);
    await pipeline(
      answer,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          await isConnected();
          yield chunk;
        }
      },
      outgoing,
    );
  }

  #ask(
    method: string,
    path: string,
    headers: IncomingMessage['headers'],
    body: Buffer,
    outgoing: ServerResponse,
  ): Promise<IncomingMessage> {
    const { host, hostname, port } = this.#target;
    return new Promise((resolve, reject) => {
      const onward = request(
        { method, path, hostname, port, headers: { ...headers, host }, agent: this.#onward },
        resolve,
      );
      onward.on('error', reject);
      outgoing.on('close', () => onward.destroy());
      onward.end(body);
    });
  }

  /** Resolves when an engine is not cut off. */
  #isConnected(engine: string): Promise<void> | undefined {
    const waiting = this.#cutOff.get(engine);
    return waiting && new Promise((resolve) => waiting.push(resolve));
  }

  /** The API server keeps no version as old as 1: what it says then is its own. */
  #aged(path: string): string {
    if (!this.forgetful || !path.includes('watch=true')) return path;
    this.forgotten += 1;
    return path.replace(/resourceVersion=\d+/, 'resourceVersion=1');
  }
}
