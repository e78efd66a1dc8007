import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificate.ts';

/** One POST that arrived. */
export interface Arrival {
  readonly webhookId: string;
  readonly attempt: number;
  /** By the monotonic clock, in milliseconds. */
  readonly at: number;
  readonly payload: { readonly task: string; readonly phase: string };
  readonly answered: number;
}

/** An HTTPS receiver on loopback. */
export interface Receiver {
  readonly origin: string;
  readonly arrivals: readonly Arrival[];
  close(): Promise<void>;
}

/** What a receiver answers to its n-th POST, counted from 1. */
export type Answer = (count: number) => { status: number; headers?: Record<string, string> };

/** Starts a receiver on 127.0.0.1 that keeps a list of what arrives. */
export async function startReceiver(certificate: Certificate, answer: Answer): Promise<Receiver> {
  const arrivals: Arrival[] = [];
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (request, response) => {
    const at = performance.now();
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { status, headers } = answer(arrivals.length + 1);
      arrivals.push(arrival(request, Buffer.concat(chunks), at, status));
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: `https://127.0.0.1:${port}`,
    arrivals,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function arrival(request: IncomingMessage, body: Buffer, at: number, answered: number): Arrival {
  return {
    webhookId: String(request.headers['webhook-id']),
    attempt: Number(request.headers['telos-attempt']),
    at,
    payload: JSON.parse(body.toString('utf8')) as Arrival['payload'],
    answered,
  };
}
