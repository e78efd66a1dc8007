// A TLS receiver in a process of its own, so that its work is not counted as the sender's.
// Started by fork(): told what to be, it tells its ports; then it answers one question at a time.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ReceiverOrder {
  readonly certPem: string;
  readonly keyPem: string;
  readonly ports: number;
  /** So many of them, the first ones, take a POST and never answer. */
  readonly hanging: number;
}

export type ReceiverQuestion =
  /** Forgets what came so far. */
  | { readonly ask: 'reset' }
  /** Answered as soon as so many POSTs were answered since. */
  | { readonly ask: 'reached'; readonly count: number }
  /** What came since. */
  | { readonly ask: 'report' };

export interface ReceiverReport {
  /** Milliseconds from `results.at` of each body (see `instant`) to its arrival, of POSTs that were answered. */
  readonly waits: readonly number[];
  /** CPU time of this process, milliseconds. */
  readonly cpuMs: number;
}

let posts = 0;
let wanted = Number.POSITIVE_INFINITY;
let waits: number[] = [];
let cpu = process.cpuUsage();

process.on('message', (message: ReceiverOrder | ReceiverQuestion) => void obey(message));
process.on('disconnect', () => process.exit());

async function obey(message: ReceiverOrder | ReceiverQuestion): Promise<void> {
  if ('ports' in message) {
    const ports = await Promise.all(Array.from({ length: message.ports }, (_, n) => listen(message, n)));
    process.send?.({ ports });
    return;
  }
  switch (message.ask) {
    case 'reset':
      posts = 0;
      wanted = Number.POSITIVE_INFINITY;
      waits = [];
      cpu = process.cpuUsage();
      process.send?.('reset');
      return;
    case 'reached':
      wanted = message.count;
      if (posts >= wanted) process.send?.('reached');
      return;
    case 'report': {
      const { user, system } = process.cpuUsage(cpu);
      const report: ReceiverReport = { waits, cpuMs: (user + system) / 1000 };
      process.send?.(report);
    }
  }
}

function listen({ certPem, keyPem, hanging }: ReceiverOrder, index: number): Promise<number> {
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const arrivedAt = process.hrtime.bigint();
    let body = '';
    request.setEncoding('latin1').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      if (index < hanging) return;
      response.writeHead(204).end();
      posts += 1;
      const at = /"at":"(\d+)"/.exec(body)?.[1];
      if (at !== undefined) waits.push(Number(arrivedAt - BigInt(at)) / 1e6);
      if (posts === wanted) process.send?.('reached');
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
