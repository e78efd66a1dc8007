import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../src/base/clock.ts';
import { errorCode } from '../src/base/errors.ts';
import type { Certificate } from '../src/cli/demo/certificate.ts';
import { aboutOf, type Ledger, type Stay } from './ledger.ts';
import { Random } from './random.ts';
import { type Answer, type Role, secrets } from './roles.ts';
import { receiverAddress } from './stand.ts';

export interface ReceiverOptions {
  readonly seed: string;
  readonly ledger: Ledger;
  /** The clock of the engines. */
  readonly clock: Clock;
  /** One that engines trust, and one that they do not. */
  readonly certificate: Certificate;
  readonly untrusted: Certificate;
}

/** An HTTPS server, an origin of its own, that behaves as its role says. Its ledger is that of all. */
export class Receiver {
  readonly #name: string;
  readonly #role: Role;
  readonly #options: ReceiverOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #healed = false;
  #port = 0;

  private constructor(name: string, role: Role, options: ReceiverOptions) {
    this.#name = name;
    this.#role = role;
    this.#options = options;
    const { certPem, keyPem } = role.connections === 'untrusted' ? options.untrusted : options.certificate;
    this.#server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
      void this.#serve(request, response);
    });
    // Engines are killed in the middle of everything.
    this.#server.on('tlsClientError', () => {});
    this.#server.prependListener('connection', (socket: Socket) => this.#accept(socket));
  }

  static async start(name: string, role: Role, options: ReceiverOptions): Promise<Receiver> {
    const receiver = new Receiver(name, role, options);
    await receiver.#listen();
    if (role.connections === 'closed') await receiver.#stopListening();
    return receiver;
  }

  get origin(): string {
    return `https://${receiverAddress}:${this.#port}`;
  }

  /** From now on it answers everything well, unless its role is incurable. */
  async heal(): Promise<void> {
    if (this.#role.incurable) return;
    this.#healed = true;
    const { certPem, keyPem } = this.#options.certificate;
    this.#server.setSecureContext({ cert: certPem, key: keyPem });
    if (!this.#server.listening) await this.#listen();
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.#stopListening();
  }

  async #listen(): Promise<void> {
    for (;;) {
      try {
        this.#server.listen(this.#port, receiverAddress);
        await once(this.#server, 'listening');
        this.#port = (this.#server.address() as AddressInfo).port;
        return;
      } catch (error) {
        // Any connection of this machine may hold the port for a moment.
        if (errorCode(error) !== 'EADDRINUSE') throw error;
        await delay(100);
      }
    }
  }

  async #stopListening(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#role.connections === 'reset' && !this.#healed) {
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const stay: Stay = { from: performance.now() };
    // Closed is closed, whatever comes of an answer that nobody waits for.
    response.once('close', () => (stay.to ??= performance.now()));
    const body = await readBody(request);
    // The engine was killed while it wrote: nobody was told anything.
    if (body === undefined) return;
    const { ledger } = this.#options;
    const answer = this.#decide(aboutOf(body).task ?? '');
    const { headers, socket } = request;
    ledger.add(this.#name, { headers, body, socket }, stay, answer, this.#faultOf(request, body));
    await this.#answer(response, answer, stay);
  }

  #decide(task: string): Answer {
    const { ledger, seed } = this.#options;
    const before = ledger.before(this.#name, task);
    if (this.#healed || this.#role.answer === undefined) return { status: 204 };
    return this.#role.answer(new Random(seed, 'answer', this.#name, task, before));
  }

  async #answer(response: ServerResponse, answer: Answer, stay: Stay): Promise<void> {
    if (answer === 'silence') return;
    if (answer === 'reset') {
      response.destroy();
      return;
    }
    const { status, afterMs = 0, location, broken } = answer;
    if (afterMs > 0) await delay(afterMs);
    stay.to ??= performance.now();
    const retryAfter = this.#retryAfter(answer.retryAfter);
    response.writeHead(status, {
      ...(location === undefined ? {} : { location }),
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
      ...(broken ? { 'content-length': 1000 } : {}),
    });
    if (broken) response.write('so f', () => response.destroy());
    else response.end();
    if (status < 300) this.#options.ledger.succeeded();
  }

  #retryAfter(wanted: number | 'as a date' | undefined): string | undefined {
    if (wanted !== 'as a date') return wanted?.toString();
    return new Date(this.#options.clock.now() + 4_000).toUTCString();
  }

  /** What is wrong with a request of a hook of this role. */
  #faultOf({ method, url, headers }: IncomingMessage, body: Buffer): string | undefined {
    if (method !== 'POST' || url !== `/${this.#name}`) return `${method} ${url} is not what the hook says`;
    const { signing, secretRef } = this.#role.webhook ?? {};
    const isSigned = (value: string): boolean =>
      headers['webhook-signature'] === signatureOf(headers, body, value);
    if (signing !== undefined && !secrets.signing.values.some(isSigned)) return 'the signature is wrong';
    for (const { name, key, values } of Object.values(secrets)) {
      const expected: readonly unknown[] = secretRef?.name === name ? values : [undefined];
      if (!expected.includes(headers[key])) return `header ${key} is not what its Secret says`;
    }
    return undefined;
  }
}

/** The signature as the Standard Webhooks specification describes it. */
function signatureOf(headers: IncomingMessage['headers'], body: Buffer, secret: string): string {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.`;
  return `v1,${createHmac('sha256', key).update(signed).update(body).digest('base64')}`;
}

/** Undefined when the request broke off. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return request.complete ? Buffer.concat(chunks) : undefined;
}
