import { once } from 'node:events';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { House } from './house.ts';

let house: House;
let authority: Certificate;

beforeEach(async () => {
  house = new House();
  authority = await makeCertificate();
});
afterEach(() => house.close());

interface Peer {
  readonly origin: string;
  readonly accepts: number;
  /** Resolves as soon as no connection is open. */
  drained(): Promise<void>;
}

type StreamAnswer = (stream: ServerHttp2Stream, headers: Record<string, unknown>, body: Buffer) => void;

/** A receiver that speaks HTTP/2, and 1.1 only if it is told to. */
async function http2Receiver(answer: StreamAnswer, protocols: readonly string[] = ['h2']): Promise<Peer> {
  if (protocols[0] === 'http/1.1') {
    const server = createHttpsServer({ ...(await credentials()), ALPNProtocols: [...protocols] });
    return listen(server.on('request', (_request, response) => response.end('one')));
  }
  const server = createSecureServer({
    ...(await credentials()),
    allowHTTP1: protocols.includes('http/1.1'),
  });
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => answer(stream, headers, Buffer.concat(chunks)));
  });
  server.on('sessionError', () => {});
  return listen(server);
}

/** A peer that says `h2` in the handshake and then whatever it likes. */
async function rawPeer(speak: (socket: TLSSocket) => void): Promise<Peer> {
  const server = createTlsServer({ ...(await credentials()), ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('error', () => {});
    speak(socket.resume());
  });
  return listen(server);
}

async function credentials(): Promise<{ cert: string; key: string }> {
  const { certPem, keyPem } = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
  return { cert: certPem, key: keyPem };
}

async function listen(server: TlsServer): Promise<Peer> {
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let accepts = 0;
  server.prependListener('connection', (socket: Socket) => {
    accepts += 1;
    sockets.add(socket.on('error', () => {}));
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const tell of waiting.splice(0)) tell();
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  house.onClose(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get accepts() {
      return accepts;
    },
    drained: () => new Promise((resolve) => (sockets.size === 0 ? resolve() : void waiting.push(resolve))),
  };
}

const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
/** The streams that whole HEADERS frames in `bytes` open; the preface of a connection is passed over. */
function newStreams(bytes: Buffer, known: Set<number>): number[] {
  const opened: number[] = [];
  let at = bytes.subarray(0, 3).toString() === 'PRI' ? 24 : 0;
  for (; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const stream = bytes.readUInt32BE(at + 5);
    if (bytes[at + 3] !== 1 || known.has(stream)) continue;
    known.add(stream);
    opened.push(stream);
  }
  return opened;
}
const settings = frame(4, 0, 0, Buffer.alloc(0));
/** Status 200, in the short form of HPACK. */
const head200 = frame(1, 4, 1, Buffer.from([0x88]));
const door = (clock?: ManualClock) => house.door({ caPem: authority.certPem }, clock);

describe('HTTP/2', () => {
  test('is spoken with a receiver that speaks nothing else', async () => {
    const seen: unknown[] = [];
    const receiver = await http2Receiver((stream, headers, body) => {
      seen.push({ ...headers, body: body.toString() });
      stream.respond({ ':status': 202, 'x-id': ['a', 'b'] });
      stream.end('fine');
    });
    const { post, dials } = door();
    const headers = { 'content-type': 'application/json', Authorization: 'Bearer x' };
    for (let round = 0; round < 3; round += 1) {
      const outcome = await post(`${receiver.origin}/path?q=1`, { headers, body: '{"ü":1}' });
      expect(outcome).toMatchObject({
        kind: 'answered',
        status: 202,
        headers: { 'x-id': 'a, b' },
        body: Buffer.from('fine'),
      });
    }
    expect(seen).toHaveLength(3);
    expect(seen[0]).toMatchObject({
      ':method': 'POST',
      ':scheme': 'https',
      ':authority': receiver.origin.slice('https://'.length),
      ':path': '/path?q=1',
      'content-type': 'application/json',
      'content-length': '8',
      authorization: 'Bearer x',
      body: '{"ü":1}',
    });
    expect(dials).toHaveLength(1);
    expect(receiver.accepts).toBe(1);
  });

  test.each([
    { protocols: ['http/1.1', 'h2'], body: 'one' },
    { protocols: ['h2', 'http/1.1'], body: 'two' },
  ])('is the choice of a receiver that prefers $protocols', async ({ protocols, body }) => {
    const receiver = await http2Receiver((stream) => {
      stream.respond({ ':status': 200 });
      stream.end('two');
    }, protocols);
    expect(await door().post(receiver.origin)).toMatchObject({ kind: 'answered', body: Buffer.from(body) });
  });

  test('carries one request at a time on each connection', async () => {
    const receiver = await http2Receiver((stream) => {
      stream.respond({ ':status': 204 });
      stream.end();
    });
    const { post } = door();
    await Promise.all([post(receiver.origin), post(receiver.origin), post(receiver.origin)]);
    expect(receiver.accepts).toBe(3);
    await post(receiver.origin);
    expect(receiver.accepts).toBe(3);
  });

  test.each([301, 307, 401])('does not follow %i', async (status) => {
    const receiver = await http2Receiver((stream) => {
      stream.respond({ ':status': status, location: receiver.origin, 'www-authenticate': 'Basic' });
      stream.end();
    });
    const { post } = door();
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status });
    expect(receiver.accepts).toBe(1);
  });

  test('reads an endless body to 4 KiB and leaves the rest', async () => {
    const receiver = await http2Receiver((stream) => {
      stream.respond({ ':status': 500 });
      const more = (): void => {
        if (!stream.destroyed) stream.write('x'.repeat(1024), more);
      };
      more();
    });
    expect(await door().post(receiver.origin)).toMatchObject({
      kind: 'answered',
      status: 500,
      body: Buffer.alloc(4096, 'x'),
    });
    await receiver.drained();
  });

  test('takes the status of an answer whose body breaks off', async () => {
    const reset = frame(3, 0, 1, Buffer.from([0, 0, 0, 2]));
    const peer = await rawPeer((socket) =>
      socket.once('data', () =>
        socket.write(Buffer.concat([settings, head200, frame(0, 0, 1, Buffer.from('half')), reset])),
      ),
    );
    expect(await door().post(peer.origin)).toMatchObject({ kind: 'answered', status: 200 });
    await peer.drained();
  });

  test('takes no push, and the answer that was asked for', async () => {
    const push = frame(5, 4, 1, Buffer.from([0, 0, 0, 2, 0x82, 0x87, 0x84]));
    const peer = await rawPeer((socket) =>
      socket.once('data', () =>
        socket.write(Buffer.concat([settings, push, head200, frame(0, 1, 1, Buffer.from('fine'))])),
      ),
    );
    expect(await door().post(peer.origin)).toMatchObject({ status: 200, body: Buffer.from('fine') });
  });

  test('passes over hints that come before the answer', async () => {
    const receiver = await http2Receiver((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.respond({ ':status': 204 });
      stream.end();
    });
    expect(await door().post(receiver.origin)).toMatchObject({ kind: 'answered', status: 204 });
  });

  test.each([
    [
      'with the answer',
      (socket: TLSSocket, answer: Buffer, goodbye: Buffer) => socket.write(Buffer.concat([answer, goodbye])),
    ],
    [
      'before the answer',
      (socket: TLSSocket, answer: Buffer, goodbye: Buffer) => socket.write(Buffer.concat([goodbye, answer])),
    ],
    [
      'after the answer',
      (socket: TLSSocket, answer: Buffer, goodbye: Buffer) =>
        socket.write(answer, () => setImmediate(() => socket.write(goodbye))),
    ],
  ])('opens a new connection when the receiver said goodbye %s', async (_when, say) => {
    const goodbye = frame(7, 0, 0, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]));
    const answer = frame(1, 5, 1, Buffer.from([0x89]));
    const peer = await rawPeer((socket) => {
      socket.write(settings);
      socket.once('data', () => say(socket, answer, goodbye));
    });
    const { post } = door();
    for (let round = 1; round <= 3; round += 1) {
      expect(await post(peer.origin)).toMatchObject({ kind: 'answered', status: 204 });
      await peer.drained();
    }
    expect(peer.accepts).toBe(3);
  });

  const literal = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]);
  const many = Array.from({ length: 10_000 }, (_, index) => literal(`x-${index}`, 'y'));
  const manyHeaders = Buffer.concat([Buffer.from([0x88]), ...many.slice(0, 1_000)]);

  const violations: readonly (readonly [what: string, bytes: Buffer])[] = [
    ['an oversized frame', frame(0, 0, 1, Buffer.alloc(20_000))],
    ['an oversized frame of no known type', frame(99, 0, 0, Buffer.alloc(20_000))],
    ['an oversized goodbye', frame(7, 0, 0, Buffer.alloc(20_000))],
    ['an ill-formed goodbye', frame(7, 0, 0, Buffer.alloc(4))],
    ['an ill-formed ping', frame(6, 0, 0, Buffer.alloc(7))],
    ['ill-formed settings', frame(4, 0, 0, Buffer.alloc(7))],
    ['an ill-formed reset', frame(3, 0, 1, Buffer.alloc(3))],
    ['a body before its status', frame(0, 0, 1, Buffer.alloc(5))],
    ['headers that cannot be unpacked', frame(1, 4, 1, Buffer.alloc(6, 0xff))],
  ];

  test.each<[what: string, speak: (socket: TLSSocket) => void, message: string]>([
    [
      'a thousand headers',
      (socket) =>
        void socket.once('data', () => socket.write(Buffer.concat([settings, frame(1, 5, 1, manyHeaders)]))),
      'the answer has more than 16 KiB of headers',
    ],
    [
      '10,000 headers in endless parts',
      (socket) =>
        void socket.once('data', () => {
          const parts = many.map((header) => frame(9, 0, 1, header));
          socket.write(Buffer.concat([settings, frame(1, 0, 1, Buffer.from([0x88])), ...parts]));
        }),
      '',
    ],
    [
      'HTTP/1.1',
      (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
      'the answer is not HTTP',
    ],
    ...violations.map(([what, bytes]): [string, (socket: TLSSocket) => void, string] => [
      what,
      (socket) => void socket.once('data', () => socket.write(Buffer.concat([settings, bytes]))),
      'the answer is not HTTP',
    ]),
    ['garbage', (socket) => void socket.write('SSH-2.0-OpenSSH_9.6\r\n'), 'the answer is not HTTP'],
    [
      'a refused stream',
      (socket) =>
        void socket.once('data', () =>
          socket.write(Buffer.concat([settings, frame(3, 0, 1, Buffer.from([0, 0, 0, 7]))])),
        ),
      'the connection was closed before an answer came',
    ],
    [
      'a goodbye before it',
      (socket) =>
        void socket.once('data', () =>
          socket.write(Buffer.concat([settings, frame(7, 0, 0, Buffer.alloc(8))])),
        ),
      'the connection was closed before an answer came',
    ],
    [
      'a goodbye in anger',
      (socket) =>
        void socket.once('data', () =>
          socket.write(Buffer.concat([settings, frame(7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 11]))])),
        ),
      '',
    ],
    [
      'a reset',
      (socket) => void socket.once('data', () => socket.destroy()),
      'the connection was closed before an answer came',
    ],
    ['a reset at once', (socket) => void socket.destroy(), 'the connection was closed before an answer came'],
    [
      'an end',
      (socket) => void socket.once('data', () => socket.end(settings)),
      'the connection was closed before an answer came',
    ],
  ])('with %s instead of an answer is a reset connection', async (_what, speak, message) => {
    const peer = await rawPeer(speak);
    const outcome = await door().post(`${peer.origin}/secret`);
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: 'Reset',
      message: expect.stringContaining(`${peer.origin}: ${message}`),
    });
    expect(JSON.stringify(outcome)).not.toContain('secret');
    expect(peer.accepts).toBe(1);
    await peer.drained();
  });

  const refusedStream = frame(3, 0, 3, Buffer.from([0, 0, 0, 7]));
  const cancelledStream = frame(3, 0, 3, Buffer.from([0, 0, 0, 8]));
  const goodbye = (last: number, code: number) => frame(7, 0, 0, Buffer.from([0, 0, 0, last, 0, 0, 0, code]));
  const hint = frame(1, 4, 3, literal(':status', '103'));

  test.each<[what: string, workMs: number, isRepeated: boolean, say: (socket: TLSSocket) => void]>([
    ['its stream refused, however late', 1_500, true, (socket) => socket.write(refusedStream)],
    ['a goodbye that leaves it out, however late', 1_500, true, (socket) => socket.write(goodbye(1, 0))],
    ['a goodbye that asks for calm', 0, false, (socket) => socket.write(goodbye(1, 11))],
    ['a close at once', 0, true, (socket) => socket.destroy()],
    ['a close after work', 1_500, false, (socket) => socket.destroy()],
    ['its stream cancelled', 0, false, (socket) => socket.write(cancelledStream)],
    ['a goodbye that counts it in', 0, false, (socket) => socket.end(goodbye(3, 0))],
    ['a goodbye in anger that counts it in', 0, false, (socket) => socket.end(goodbye(3, 11))],
    ['a hint and an end', 0, false, (socket) => socket.end(hint)],
  ])(
    'on a connection used before, after %s (%i ms), is sent again: %j',
    async (_what, workMs, isRepeated, say) => {
      const clock = new ManualClock();
      let posts = 0;
      const peer = await rawPeer((socket) => {
        socket.write(settings);
        const isFirst = peer.accepts === 1;
        const streams = new Set<number>();
        socket.on('data', (bytes: Buffer) => {
          for (const stream of newStreams(bytes, streams)) {
            posts += 1;
            if (stream === 1) {
              socket.write(frame(1, 5, stream, Buffer.from([0x89])));
              continue;
            }
            if (isFirst) clock.advance(workMs);
            say(socket);
          }
        });
      });
      const { post } = door(clock);
      expect(await post(peer.origin)).toMatchObject({ kind: 'answered' });
      expect(await post(peer.origin)).toMatchObject({ kind: isRepeated ? 'answered' : 'failed' });
      expect(posts).toBe(isRepeated ? 3 : 2);
      expect(peer.accepts).toBe(isRepeated ? 2 : 1);
    },
  );

  test('without an answer ends with the time, and the connection is closed', async () => {
    const clock = new ManualClock();
    const asked = signalled();
    const receiver = await http2Receiver(() => asked.resolve());
    const waiting = door(clock).post(receiver.origin, { timeoutMs: 7_000 });
    await asked.promise;
    clock.advance(7_000);
    expect(await waiting).toMatchObject({ kind: 'failed', reason: 'Timeout' });
    expect(clock.nextTimerMs).toBeUndefined();
    await receiver.drained();
  });

  test('is closed with the guard, idle or under way', async () => {
    const asked = signalled();
    const receiver = await http2Receiver((stream, { ':path': path }) => {
      if (path === '/slow') return asked.resolve();
      stream.respond({ ':status': 204 });
      stream.end();
    });
    const { post, guard } = door();
    const slow = post(`${receiver.origin}/slow`);
    await post(receiver.origin);
    await asked.promise;
    await guard.close();
    expect(await slow).toMatchObject({ kind: 'failed', reason: 'Reset' });
    await receiver.drained();
    expect(receiver.accepts).toBe(2);
  });
});

/** A promise, and what resolves it. */
function signalled(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}
