import type { ServerResponse } from 'node:http';
import { type ReceivedRequest, type Receiver, startReceiver } from '../support/receiver.ts';

/** A receiver that repeats the secrets that it was sent; `/fail` fails, `/moved` redirects. */
export async function startEcho(): Promise<Receiver> {
  let requests = 0;
  const receiver = await startReceiver({
    answer: (request, response) => {
      requests += 1;
      echo(receiver.origin, requests, request, response);
    },
  });
  return receiver;
}

/** Answers with all that it was sent, in every way that receivers write it. */
function echo(
  origin: string,
  count: number,
  { path, headers, body }: ReceivedRequest,
  response: ServerResponse,
): void {
  const secrets = [headers.authorization ?? '', String(headers['x-odd'] ?? ''), path];
  const url = `${origin}${path}`;
  const ways: readonly ((text: string) => string)[] = [
    (text) => text,
    (text) => JSON.stringify({ text }),
    encodeURIComponent,
    (text) => Buffer.from(text).toString('base64'),
    (text) => Buffer.from(text).toString('hex'),
    (text) => text.slice(0, text.length / 2 + 4),
    (text) => text.slice(-18),
    () => `<a href="${url}">${body.toString()}`,
  ];
  // An answer is kept to some length only, so each request is echoed in another way.
  const way = ways[count % ways.length] ?? String;
  const status = path.startsWith('/fail') ? 500 : path.startsWith('/moved') ? 307 : 200;
  response.writeHead(status, { location: url });
  response.end(secrets.map(way).join('\n'));
}
