import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../../src/cli/demo/certificate.ts';
import type { Credential, Credentials } from '../../../src/store/kubernetes/credentials.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { refused } from '../contract.ts';
import { type Exchange, ScriptedApiServer } from './api-server.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const serve = async (
  answer: (exchange: Exchange, count: number) => void,
  tls?: ConstructorParameters<typeof ScriptedApiServer>[1],
): Promise<ScriptedApiServer> => {
  const server = await new ScriptedApiServer(answer, tls).listen();
  opened.push(server);
  return server;
};

const ok = ({ response }: Exchange): unknown => response.end('{}');
const busy = ({ response }: Exchange): unknown => response.writeHead(429, { 'retry-after': '0' }).end('{}');

/** Credentials that are another token each time they are refused. */
function rotating(...tokens: string[]): Credentials {
  let credential: Credential = { authorization: `Bearer ${tokens[0]}` };
  return {
    current: async () => credential,
    renew: () => {
      tokens.shift();
      credential = { authorization: `Bearer ${tokens[0]}` };
      return true;
    },
  };
}

describe('requests', () => {
  test('share few connections, and go below the path of the server', async () => {
    const server = await serve(ok);
    const transport = server.transport({ path: '/k8s/clusters/c-1/' });
    for (let index = 0; index < 20; index += 1) await transport.send({ method: 'GET', path: '/api?x=1' });
    // A connection is free a moment after its answer is read: two take turns.
    expect(server.connections).toBeLessThanOrEqual(2);
    expect(server.exchanges[0]?.request.url).toBe('/k8s/clusters/c-1/api?x=1');
    await Promise.all(Array.from({ length: 200 }, () => transport.send({ method: 'GET', path: '/api' })));
    expect(server.connections).toBeLessThanOrEqual(32);
  });

  test('carry the credential and the body as it is', async () => {
    const server = await serve(ok);
    const transport = server.transport({ credentials: rotating('t') });
    const contentType = 'application/merge-patch+json';
    await transport.send({ method: 'PATCH', path: '/x', body: '{"ü":1}', contentType });
    const { request, body } = server.exchanges[0] as Exchange;
    expect([request.method, body]).toEqual(['PATCH', '{"ü":1}']);
    expect(request.headers).toMatchObject({ authorization: 'Bearer t', 'content-type': contentType });
  });

  test('wait and come again when the server is too busy, writes too', async () => {
    const server = await serve((exchange, count) => (count < 4 ? busy(exchange) : ok(exchange)));
    expect((await server.transport().send({ method: 'POST', path: '/x', body: '{}' })).status).toBe(200);
    expect(server.exchanges).toHaveLength(4);
  });

  test('do not come again without end', async () => {
    const server = await serve(busy);
    expect((await server.transport().send({ method: 'GET', path: '/x' })).status).toBe(429);
    expect(server.exchanges).toHaveLength(5);
  });

  test('that only read come again after a 503 with Retry-After; a write does not', async () => {
    const server = await serve((exchange, count) =>
      count % 2 === 1 ? exchange.response.writeHead(503, { 'retry-after': '0' }).end() : ok(exchange),
    );
    const transport = server.transport();
    expect((await transport.send({ method: 'GET', path: '/x' })).status).toBe(200);
    expect((await transport.send({ method: 'PATCH', path: '/x', body: '{}' })).status).toBe(503);
  });

  test('come again once with a renewed credential when theirs is not taken', async () => {
    const server = await serve((exchange) =>
      exchange.request.headers.authorization === 'Bearer new'
        ? ok(exchange)
        : exchange.response.writeHead(401).end('{}'),
    );
    const create = { method: 'POST', path: '/x', body: '{}' } as const;
    expect((await server.transport({ credentials: rotating('old', 'new') }).send(create)).status).toBe(200);
    const stubborn = server.transport({ credentials: rotating('old', 'older', 'new') });
    expect((await stubborn.send(create)).status).toBe(401);
  });

  test('that only read come again when the connection breaks', async () => {
    const server = await serve((exchange, count) =>
      count < 3 ? exchange.request.socket.destroy() : ok(exchange),
    );
    expect((await server.transport().send({ method: 'GET', path: '/x' })).status).toBe(200);
  });

  test('a write whose answer is lost is Unavailable and is not sent again', async () => {
    const server = await serve(({ request }) => request.socket.destroy());
    const error = await refused(
      'Unavailable',
      server.transport().send({ method: 'POST', path: '/x', body: '{}' }),
    );
    expect(error.message).toMatch(/connection broke: what was written may have taken effect/);
    expect(server.exchanges).toHaveLength(1);
  });

  test('to a server that is not there are Unavailable and name it', async () => {
    const server = await serve(ok);
    const transport = server.transport();
    const { port } = server;
    await server.close();
    opened.splice(0);
    const again = await serve(ok);
    const other = again.transport();
    await transport.close();
    const error = await refused('Unavailable', transport.send({ method: 'GET', path: '/x' }));
    expect(error.message).toBe(`Kubernetes API http://127.0.0.1:${port} (test): is closed`);
    again.server.close();
    const gone = await refused('Unavailable', other.send({ method: 'POST', path: '/x', body: '{}' }));
    expect(gone.message).toMatch(
      /the connection is refused: check that it runs, and the server in the kubeconfig/,
    );
  });

  test('are given up with the reason of their signal, also while they wait to come again', async () => {
    const reason = new Error('enough');
    const abort = new AbortController();
    const server = await serve(({ response }) => {
      response.writeHead(429, { 'retry-after': '600' }).end('{}');
      setImmediate(() => abort.abort(reason));
    });
    const sent = server.transport().send({ method: 'GET', path: '/x', signal: abort.signal });
    await expect(sent).rejects.toBe(reason);
  });

  test('wait in any number, end when the transport closes, and are no leak', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', onWarning);
    const clock = new ManualClock();
    const many = 32;
    const server = await serve(({ response }) => response.writeHead(429, { 'retry-after': '600' }).end('{}'));
    const transport = server.transport({ clock });
    const allWait = new Promise<void>((resolve) => {
      let waits = 0;
      const set = clock.after.bind(clock);
      clock.after = (...timer) => {
        waits += 1;
        if (waits === many) setImmediate(resolve);
        return set(...timer);
      };
    });
    const sent = Array.from({ length: many }, () =>
      refused('Unavailable', transport.send({ method: 'GET', path: '/x' })),
    );
    await allWait;
    await transport.close();
    for (const error of await Promise.all(sent)) expect(error.message).toMatch(/is closed$/);
    // Warnings are told in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});

describe('streams', () => {
  test('do not take the connections of requests, and end when the transport closes', async () => {
    const server = await serve((exchange) =>
      exchange.request.url === '/watch' ? exchange.response.write('{}\n') : ok(exchange),
    );
    const transport = server.transport();
    const streams = await Promise.all(
      Array.from({ length: 40 }, () => transport.stream({ method: 'GET', path: '/watch' })),
    );
    expect((await transport.send({ method: 'GET', path: '/x' })).status).toBe(200);
    const [stream] = streams;
    if (stream === undefined || !('chunks' in stream)) throw new Error('the stream was refused');
    const chunks = stream.chunks[Symbol.asyncIterator]();
    expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe('{}\n');
    for (const other of streams.slice(1)) if ('chunks' in other) void drain(other.chunks);
    const rest = chunks.next().catch(() => 'broken');
    await transport.close();
    expect(await rest).toBe('broken');
  });

  test('that are refused give the answer', async () => {
    const server = await serve(({ response }) => response.writeHead(410).end('{"kind":"Status"}'));
    const stream = await server.transport().stream({ method: 'GET', path: '/watch' });
    expect(stream).toEqual({ answer: { status: 410, body: '{"kind":"Status"}' } });
  });
});

describe('TLS', () => {
  test('trusts the authority of the kubeconfig, by the name it says', async () => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names: ['k.example'], signedBy: authority });
    const server = await serve(ok, { cert: certificate.certPem, key: certificate.keyPem });
    const get = { method: 'GET', path: '/x' } as const;
    const ca = authority.certPem;
    const right = server.transport({ tls: { ca, serverName: 'k.example' } });
    expect((await right.send(get)).status).toBe(200);
    const misnamed = await refused('Unavailable', server.transport({ tls: { ca } }).send(get));
    expect(misnamed.message).toMatch(/its certificate is not trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/);
    const foreign = await refused('Unavailable', server.transport().send(get));
    expect(foreign.message).toMatch(/its certificate is not trusted \(.*\): check certificate-authority/);
    expect((await server.transport({ tls: { skipVerify: true } }).send(get)).status).toBe(200);
  });

  test('shows the client certificate that is current', async () => {
    const authority = await makeCertificate();
    const own = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map((name) => makeCertificate({ names: [name], signedBy: authority })),
    );
    const peers: unknown[] = [];
    const server = await serve(
      (exchange) => {
        const { socket } = exchange.request as unknown as {
          socket: { getPeerCertificate(): { subject: { CN: string } } };
        };
        peers.push(socket.getPeerCertificate().subject.CN);
        ok(exchange);
      },
      {
        cert: own.certPem,
        key: own.keyPem,
        ca: authority.certPem,
        requestCert: true,
        rejectUnauthorized: true,
      },
    );
    let certificate = ann;
    const transport = server.transport({
      tls: { ca: authority.certPem },
      credentials: {
        current: async () => ({
          clientCertificate: { cert: certificate?.certPem ?? '', key: certificate?.keyPem ?? '' },
        }),
        renew: () => false,
      },
    });
    const get = { method: 'GET', path: '/x' } as const;
    await transport.send(get);
    await transport.send(get);
    certificate = bob;
    await transport.send(get);
    expect(peers).toEqual(['ann', 'ann', 'bob']);
  });

  test('goes through the proxy of the kubeconfig, and the proxy sees nothing of it', async () => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
    const server = await serve(ok, { cert: certificate.certPem, key: certificate.keyPem });
    const targets: (string | undefined)[] = [];
    const sockets = new Set<Socket>();
    const proxy = createServer();
    proxy.on('connect', (request, socket: Socket) => {
      targets.push(request.url);
      const onward = connect(server.port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      for (const one of [socket, onward]) sockets.add(one.on('error', () => {}));
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    opened.push({
      async close() {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => proxy.close(resolve));
      },
    });
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const transport = server.transport({ tls: { ca: authority.certPem }, proxy: new URL(address) });
    for (let index = 0; index < 3; index += 1) {
      expect((await transport.send({ method: 'GET', path: '/x' })).status).toBe(200);
    }
    expect(new Set(targets)).toEqual(new Set([`127.0.0.1:${server.port}`]));
  });
});

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const _chunk of chunks);
  } catch (_broken) {
    // The transport was closed.
  }
}
