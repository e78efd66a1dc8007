import { afterEach, describe, expect, test } from 'vitest';
import { readLog } from '../../../src/store/kubernetes/pod-log.ts';
import { refused } from '../contract.ts';
import { type Exchange, ScriptedApiServer } from './api-server.ts';

let server: ScriptedApiServer | undefined;
afterEach(() => server?.close());

async function read(answer: (exchange: Exchange) => void, maxBytes = 1000): Promise<string> {
  server = await new ScriptedApiServer(answer).listen();
  const signal = new AbortController().signal;
  return readLog(
    server.transport(),
    { namespace: 'n', name: 'p' },
    { container: 'c', tailLines: 9, maxBytes, signal },
  );
}

const status = (code: number, message: string): string =>
  JSON.stringify({ kind: 'Status', status: 'Failure', code, message });

describe('the log of a Pod', () => {
  test('is its end, however much comes, and in whatever pieces', async () => {
    const text = await read(({ response }) => {
      for (let piece = 0; piece < 500; piece += 1) response.write(`line ${piece}\n`.repeat(piece % 7));
      response.end('the end');
    }, 12);
    expect(text).toBe(' 499\nthe end');
    expect(server?.exchanges[0]?.request.url).toBe('/api/v1/namespaces/n/pods/p/log?container=c&tailLines=9');
  });

  test.each([
    [404, 'NotFound', 'pods "p" not found'],
    [204, 'Invalid', ''],
    [400, 'Invalid', 'container "c" in pod "p" is waiting to start: ContainerCreating'],
    [500, 'Unavailable', 'Get "https://node:10250": dial tcp: i/o timeout'],
  ] as const)('that is refused with %i is %s', async (code, error, message) => {
    const reading = read(({ response }) => response.writeHead(code).end(status(code, message)));
    await refused(error, reading);
  });

  test('that breaks off is Unavailable, not short', async () => {
    const reading = read(({ response }) => {
      response.write('half', () => response.socket?.destroy());
    });
    await refused('Unavailable', reading);
  });
});
