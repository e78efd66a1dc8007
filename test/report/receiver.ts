import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from '../../src/cli/demo/certificate.ts';

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a receiver does with a request: answers, or never does. */
export type Answer =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer }
  | 'hang'
  | 'reset';

/** A TLS receiver on loopback that keeps what it got and answers as it is told. */
export class Receiver {
  readonly requests: ReceivedRequest[] = [];
  readonly #server: Server;
  readonly #waiting = new Set<() => void>();
  /** May be replaced at any time. */
  answer: (request: ReceivedRequest) => Answer = () => ({ status: 204 });

  constructor(certificate: Certificate) {
    this.#server = createServer(
      { cert: certificate.certPem, key: certificate.keyPem },
      (request, response) => {
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part));
        request.on('end', () => {
          const received = {
            path: request.url ?? '',
            headers: request.headers as Record<string, string>,
            body: Buffer.concat(parts).toString('utf8'),
          };
          this.requests.push(received);
          const answer = this.answer(received);
          if (answer === 'reset') request.socket.destroy();
          else if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end(answer.body);
          for (const wake of this.#waiting) wake();
        });
      },
    );
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when so many requests have come in. */
  async received(count: number): Promise<void> {
    while (this.requests.length < count)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
