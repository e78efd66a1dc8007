import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../src/cli/demo/certificate.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { ReceiverOptions } from '../support/receiver.ts';
import { House } from './house.ts';

let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

/** Speaks raw bytes once the request has begun to come. */
const saying =
  (text: string, then: 'end' | 'reset' | 'stay' = 'stay'): NonNullable<ReceiverOptions['afterTls']> =>
  (socket) => {
    socket.once('data', () => {
      if (then === 'end') socket.end(text);
      else socket.write(text, () => void (then === 'reset' && socket.destroy()));
    });
  };

describe('an answer', () => {
  test('is read to 4 KiB, and the rest of it is left', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => response.writeHead(500).end('x'.repeat(1_000_000)),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    const outcome = await post(receiver.origin);
    expect(outcome).toMatchObject({ kind: 'answered', status: 500, body: Buffer.alloc(4096, 'x') });
    await receiver.drained();
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 500 });
  });

  test('of exactly 4 KiB keeps the connection', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => response.end('x'.repeat(4096)),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ body: Buffer.alloc(4096, 'x') });
    await post(receiver.origin);
    expect(receiver.accepts).toBe(1);
  });

  test('without an end is left after 4 KiB', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => {
        const more = (): void => {
          if (!response.destroyed) response.write('x'.repeat(1024), more);
        };
        more();
      },
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({
      kind: 'answered',
      status: 200,
      body: Buffer.alloc(4096, 'x'),
    });
    await receiver.drained();
  });

  test('that is compressed is not unpacked', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.from('1f8b0800', 'hex')),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ body: Buffer.from('1f8b0800', 'hex') });
  });

  test('counts though its body breaks off', async () => {
    const receiver = await house.receiver({
      afterTls: saying('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 'reset'),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({
      kind: 'answered',
      status: 200,
      body: Buffer.from('half'),
    });
  });

  test('counts though its body drips until the time is up', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => void response.writeHead(200).write('a'),
    });
    let noted = (): void => {};
    const statusNoted = new Promise<void>((resolve) => {
      noted = resolve;
    });
    // The guard looks at the clock when the status has come.
    class WatchedClock extends ManualClock {
      override monotonic(): number {
        if (receiver.requests.length > 0) noted();
        return super.monotonic();
      }
    }
    const clock = new WatchedClock();
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const answer = post(receiver.origin);
    await statusNoted;
    clock.advance(10_000);
    expect(await answer).toMatchObject({ kind: 'answered', status: 200 });
    await receiver.drained();
  });

  test('that would unpack to a gigabyte stays as small as it came', async () => {
    const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024));
    const receiver = await house.receiver({
      answer: (_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end(gzipSync(bomb)),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    const outcome = await post(receiver.origin);
    expect(outcome.kind === 'answered' ? outcome.body.length : 0).toBeLessThanOrEqual(4096);
  });

  test('that comes byte by byte is taken whole', async () => {
    const text = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine';
    const receiver = await house.receiver({
      afterTls: (socket) => {
        const drip = (left: string): void => {
          if (left !== '') socket.write(left.slice(0, 1), () => drip(left.slice(1)));
        };
        socket.once('data', () => drip(text));
      },
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ status: 200, body: Buffer.from('fine') });
  });

  test('that nobody asked for closes the connection, and answers nobody', async () => {
    const receiver = await house.receiver({
      afterTls: (socket) =>
        socket.on('data', () =>
          socket.write('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
        ),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    for (let round = 1; round <= 3; round += 1) {
      expect(await post(receiver.origin)).toMatchObject({ status: 204 });
      await receiver.drained();
      expect(receiver.accepts).toBe(round);
    }
  });

  test('comes after hints that are not it', async () => {
    const receiver = await house.receiver({
      afterTls: saying(
        'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
      ),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 204, headers: {} });
  });

  test('may have header names that objects have already', async () => {
    const receiver = await house.receiver({
      afterTls: saying(
        'HTTP/1.1 200 OK\r\n__proto__: a\r\n__proto__: b\r\nconstructor: c\r\nContent-Length: 0\r\n\r\n',
      ),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    const outcome = await post(receiver.origin);
    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    const headers = outcome.kind === 'answered' ? outcome.headers : {};
    expect(Object.entries(headers)).toEqual([
      ['__proto__', 'a, b'],
      ['constructor', 'c'],
      ['content-length', '0'],
    ]);
  });
});

describe('no answer', () => {
  const headers = Array.from({ length: 10_000 }, (_, index) => `x-${index}: y\r\n`).join('');
  test.each<[what: string, options: ReceiverOptions, message: string]>([
    [
      '10,000 headers',
      { afterTls: saying(`HTTP/1.1 200 OK\r\n${headers}\r\n`) },
      'the answer has more than 16 KiB of headers',
    ],
    ['garbage', { afterTls: saying('SSH-2.0-OpenSSH_9.6\r\n') }, 'the answer is not HTTP'],
    ['an HTTP/2 preface', { afterTls: saying('\0\0\0\u0004\0\0\0\0\0') }, 'the answer is not HTTP'],
    [
      'half a header',
      { afterTls: saying('HTTP/1.1 200 OK\r\nx-a', 'reset') },
      'the connection was closed before an answer came',
    ],
    [
      'half a status line',
      { afterTls: saying('HTTP/1.1 2', 'reset') },
      'the connection was closed before an answer came',
    ],
    [
      'an end after the request',
      { afterTls: saying('', 'end') },
      'the connection was closed before an answer came',
    ],
    [
      'a reset after the request',
      { afterTls: saying('', 'reset') },
      'the connection was closed before an answer came',
    ],
    [
      'an upgrade nobody asked for',
      { afterTls: saying('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n') },
      'the connection was closed before an answer came',
    ],
    [
      'a reset as soon as TLS is done',
      { afterTls: (socket) => socket.destroy() },
      'the connection was closed before an answer came',
    ],
  ])('but %s is a reset connection', async (_what, options, message) => {
    const receiver = await house.receiver(options);
    const { post, dials } = house.door({ caPem: receiver.caPem });
    const outcome = await post(`${receiver.origin}/secret`);
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: 'Reset',
      message: `${receiver.origin}: ${message}`,
    });
    expect(dials).toHaveLength(1);
    await receiver.drained();
  });

  test('at all is a timeout, and the connection is closed', async () => {
    const clock = new ManualClock();
    const receiver = await house.receiver({ answer: () => {} });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const waiting = post(receiver.origin, { timeoutMs: 7_000 });
    await receiver.received(1);
    expect(clock.nextTimerMs).toBe(7_000);
    clock.advance(7_000);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'Timeout',
      message: `${receiver.origin} did not answer within 7000 ms`,
      timings: { durationMs: 7_000 },
    });
    expect(clock.nextTimerMs).toBeUndefined();
    await receiver.drained();
  });

  test('but a header that drips is a timeout', async () => {
    const clock = new ManualClock();
    let begun = (): void => {};
    const dripping = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const receiver = await house.receiver({
      afterTls: (socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nx-a: b', begun)),
    });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const waiting = post(receiver.origin);
    await dripping;
    clock.advance(10_000);
    expect(await waiting).toMatchObject({ kind: 'failed', reason: 'Timeout' });
    await receiver.drained();
  });

  test('to the handshake is a timeout after 5 s, and the connection is closed', async () => {
    const clock = new ManualClock();
    let greeted = (): void => {};
    const greeting = new Promise<void>((resolve) => {
      greeted = resolve;
    });
    const receiver = await house.receiver({ beforeTls: (socket) => socket.once('data', () => greeted()) });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const waiting = post(receiver.origin);
    await greeting;
    clock.advance(4_999);
    expect(receiver.open).toBe(1);
    clock.advance(1);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'Timeout',
      message: `127.0.0.1:${receiver.port} did not finish the TLS handshake within 5000 ms`,
    });
    expect(clock.nextTimerMs).toBeUndefined();
    await receiver.drained();
  });

  test('to the handshake for all of a short attempt is a timeout of that address', async () => {
    const clock = new ManualClock();
    let greeted = (): void => {};
    const greeting = new Promise<void>((resolve) => {
      greeted = resolve;
    });
    const receiver = await house.receiver({ beforeTls: (socket) => socket.once('data', () => greeted()) });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const waiting = post(receiver.origin, { timeoutMs: 2_000 });
    await greeting;
    clock.advance(2_000);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'Timeout',
      message: `127.0.0.1:${receiver.port} did not finish the TLS handshake within 2000 ms`,
      address: `127.0.0.1:${receiver.port}`,
    });
    expect(clock.nextTimerMs).toBeUndefined();
    await receiver.drained();
  });

  test('to the handshake leaves time for the next address, also in a short attempt', async () => {
    const clock = new ManualClock();
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    const silent = await house.receiver({ address: '127.0.0.2', port: receiver.port, beforeTls: () => {} });
    dns.answer('A', 'receiver.example', ['127.0.0.2', '127.0.0.1']);
    const { post } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] }, clock);
    const waiting = post(`https://receiver.example:${receiver.port}/`, { timeoutMs: 2_000 });
    await silent.accepted(1);
    clock.advance(1_000);
    expect(await waiting).toMatchObject({ kind: 'answered', address: `127.0.0.1:${receiver.port}` });
    await silent.drained();
  });

  test('of DNS for all of a short attempt is a fault of DNS', async () => {
    const dns = await house.dns();
    dns.answer('A', 'receiver.example', 'silence');
    dns.answer('AAAA', 'receiver.example', 'silence');
    const clock = new ManualClock();
    const { post, dials } = house.door({ dnsServers: [dns.address] }, clock);
    const waiting = post('https://receiver.example/', { timeoutMs: 1_000 });
    await dns.asked(2);
    clock.advance(1_000);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'DNS',
      message: expect.stringMatching(
        /^receiver\.example cannot be resolved: no answer within the time of the attempt; check --dns-server/,
      ),
    });
    expect(dials).toEqual([]);
    clock.advance(2_000);
  });

  test('to the handshake leaves time for the next address', async () => {
    const clock = new ManualClock();
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    const silent = await house.receiver({ address: '127.0.0.2', port: receiver.port, beforeTls: () => {} });
    dns.answer('A', 'receiver.example', ['127.0.0.2', '127.0.0.1']);
    const { post, dials } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] }, clock);
    const waiting = post(`https://receiver.example:${receiver.port}/`);
    await silent.accepted(1);
    clock.advance(2_500);
    expect(await waiting).toMatchObject({ kind: 'answered', address: `127.0.0.1:${receiver.port}` });
    expect(dials).toEqual([`127.0.0.2:${receiver.port}`, `127.0.0.1:${receiver.port}`]);
    await silent.drained();
  });

  test('because the link is half open is a timeout, and the next POST dials anew', async () => {
    const clock = new ManualClock();
    const heard = { count: 0 };
    const receiver = await house.receiver({
      // The first connection answers once and then hears and says nothing more, as if the link were cut.
      afterTls: (socket) =>
        socket.on('data', () => {
          heard.count += 1;
          if (heard.count !== 2) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
          else clock.advance(10_000);
        }),
    });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    expect(await post(receiver.origin)).toMatchObject({ status: 204 });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'failed', reason: 'Timeout' });
    expect(await post(receiver.origin)).toMatchObject({ status: 204 });
    expect(receiver.accepts).toBe(2);
  });

  test('because nobody listens is a failure to connect', async () => {
    const receiver = await house.receiver();
    await receiver.close();
    house.onClose(async () => {});
    const { post } = house.door();
    expect(await post(receiver.origin)).toMatchObject({
      kind: 'failed',
      reason: 'Connect',
      message: `127.0.0.1:${receiver.port}: connection refused: nothing listens there`,
      address: `127.0.0.1:${receiver.port}`,
    });
  });
});

describe('TLS', () => {
  const hourMs = 3_600_000;

  test.each<[what: string, names: readonly string[], days: readonly [number, number], message: string]>([
    ['for another name', ['other.example'], [-1, 1], 'its certificate is for another name'],
    ['for another address', ['127.0.0.2'], [-1, 1], 'its certificate is for another name'],
    ['that has expired', ['127.0.0.1'], [-2, -1], 'its certificate has expired'],
    ['that is not valid yet', ['127.0.0.1'], [1, 2], 'its certificate is not valid yet: check the clocks'],
  ])('a certificate %s is refused', async (_what, names, [from, to], message) => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({
      names,
      signedBy: authority,
      notBefore: new Date(Date.now() + from * hourMs),
      notAfter: new Date(Date.now() + to * hourMs),
    });
    const receiver = await house.receiver({ certificate });
    const { post } = house.door({ caPem: authority.certPem });
    expect(await post(receiver.origin)).toMatchObject({
      kind: 'failed',
      reason: 'TLS',
      message: `${receiver.origin}: ${message}`,
    });
    expect(receiver.requests).toEqual([]);
    await receiver.drained();
  });

  test('a certificate for the address does not do for a name', async () => {
    const authority = await makeCertificate();
    const dns = await house.dns();
    const certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
    const receiver = await house.receiver({ certificate });
    dns.answer('A', 'receiver.example', ['127.0.0.1']);
    const { post } = house.door({ caPem: authority.certPem, dnsServers: [dns.address] });
    expect(await post(`https://receiver.example:${receiver.port}/`)).toMatchObject({
      kind: 'failed',
      reason: 'TLS',
    });
    expect(receiver.requests).toEqual([]);
  });

  test('a certificate that nobody vouches for, or it itself alone, is refused', async () => {
    const unknown = await house.receiver();
    const selfSigned = await house.receiver({ certificate: await makeCertificate({ names: ['127.0.0.1'] }) });
    const { post } = house.door({ caPem: (await makeCertificate()).certPem });
    for (const receiver of [unknown, selfSigned]) {
      expect(await post(receiver.origin)).toMatchObject({
        kind: 'failed',
        reason: 'TLS',
        message: `${receiver.origin}: its certificate is signed by nobody we trust: give the authority with --ca-file`,
      });
      expect(receiver.requests).toEqual([]);
    }
  });

  test.each<[what: string, beforeTls: NonNullable<ReceiverOptions['beforeTls']>]>([
    ['a reset before it', (socket) => socket.resetAndDestroy()],
    ['a reset in its middle', (socket) => socket.once('data', () => socket.resetAndDestroy())],
    ['an end in its middle', (socket) => socket.once('data', () => socket.end())],
    ['plain HTTP instead', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('with %s has failed', async (_what, beforeTls) => {
    const receiver = await house.receiver({ beforeTls });
    const { post } = house.door();
    const outcome = await post(receiver.origin);
    // A reset may come before the handshake has begun.
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringMatching(/^(TLS|Connect)$/) });
    await receiver.drained();
  });
});

describe('giving up', () => {
  const giveUp = async (receiver: ReceiverOptions, when: 'accepted' | 'received'): Promise<void> => {
    const clock = new ManualClock();
    const started = await house.receiver(receiver);
    const { post } = house.door({ caPem: started.caPem }, clock);
    const caller = new AbortController();
    const waiting = post(started.origin, {}, caller.signal);
    await started[when](1);
    caller.abort(new Error('stopping'));
    await expect(waiting).rejects.toThrow('stopping');
    expect(clock.nextTimerMs).toBeUndefined();
    await started.drained();
  };

  test('during the handshake closes the connection', () => giveUp({ beforeTls: () => {} }, 'accepted'));
  test('while waiting for the answer closes the connection', () => giveUp({ answer: () => {} }, 'received'));

  test('before anything began dials nothing', async () => {
    const receiver = await house.receiver();
    const { post, dials } = house.door({ caPem: receiver.caPem });
    await expect(post(receiver.origin, {}, AbortSignal.abort(new Error('stopping')))).rejects.toThrow(
      'stopping',
    );
    expect(dials).toEqual([]);
  });

  test('while the name is being resolved dials nothing', async () => {
    const dns = await house.dns();
    dns.answer('A', 'receiver.example', 'silence');
    const clock = new ManualClock();
    const { post, dials } = house.door({ dnsServers: [dns.address] }, clock);
    const caller = new AbortController();
    const waiting = post('https://receiver.example/', {}, caller.signal);
    await dns.asked(2);
    caller.abort(new Error('stopping'));
    await expect(waiting).rejects.toThrow('stopping');
    clock.advance(3_000);
    expect(dials).toEqual([]);
  });
});
