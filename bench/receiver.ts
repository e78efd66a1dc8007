// A TLS receiver in a process of its own, so that its work is not counted as the sender's.
// Started by fork(): told the certificate, it tells its ports; told 'count', it tells how many POSTs came.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ReceiverOrder {
  readonly certPem: string;
  readonly keyPem: string;
  readonly ports: number;
}

let posts = 0;
let wanted = Number.POSITIVE_INFINITY;

process.on('message', (message: ReceiverOrder | { readonly wait: number } | 'reset') => void obey(message));

async function obey(message: ReceiverOrder | { readonly wait: number } | 'reset'): Promise<void> {
  if (message === 'reset') {
    posts = 0;
    wanted = Number.POSITIVE_INFINITY;
    process.send?.('reset');
  } else if ('wait' in message) {
    wanted = message.wait;
    if (posts >= wanted) process.send?.('reached');
  } else {
    const ports = await Promise.all(Array.from({ length: message.ports }, () => listen(message)));
    process.send?.({ ports });
  }
}

function listen({ certPem, keyPem }: ReceiverOrder): Promise<number> {
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(204).end();
      posts += 1;
      if (posts === wanted) process.send?.('reached');
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
