import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../src/cli/demo/certificate.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { House, never } from './house.ts';

const name = 'receiver.example';
let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

describe('a POST', () => {
  test('brings the request as it was given, and the answer back', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => response.writeHead(202, { 'x-id': ['a', 'b'] }).end('fine'),
    });
    const { post, dials } = house.door({ caPem: receiver.caPem });
    const outcome = await post(`${receiver.origin}/path%2F?q=1`, {
      headers: { 'content-type': 'application/json', 'user-agent': 'Telos' },
      body: Buffer.from('{"ü":1}'),
    });
    expect(outcome).toMatchObject({
      kind: 'answered',
      status: 202,
      headers: { 'x-id': 'a, b' },
      body: Buffer.from('fine'),
      address: `127.0.0.1:${receiver.port}`,
    });
    expect(Object.keys(outcome.timings).sort()).toEqual(['connectMs', 'durationMs', 'firstByteMs', 'tlsMs']);
    expect(receiver.requests).toMatchObject([
      {
        method: 'POST',
        path: '/path%2F?q=1',
        headers: { 'content-type': 'application/json', 'user-agent': 'Telos', 'content-length': '8' },
        body: Buffer.from('{"ü":1}'),
        serverName: '',
      },
    ]);
    expect(dials).toEqual([`127.0.0.1:${receiver.port}`]);
  });

  test('to a name dials what it resolves to, and says the name in SNI and Host', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    dns.answer('A', name, ['127.0.0.1']);
    const { post } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] });
    const outcome = await post(`https://RECEIVER.example.:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'answered', status: 200, address: `127.0.0.1:${receiver.port}` });
    expect(outcome.timings.dnsMs).toBeGreaterThanOrEqual(0);
    expect(receiver.requests).toMatchObject([
      { serverName: name, headers: { host: `${name}:${receiver.port}` } },
    ]);
  });

  test('goes to IPv6 as well', async () => {
    const receiver = await house.receiver({ address: '::1' });
    const { post, dials } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
    expect(dials).toEqual([`[::1]:${receiver.port}`]);
  });

  test('tries the next address when one refuses', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    dns.answer('A', name, ['127.0.0.2', '127.0.0.1']);
    const { post, dials } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] });
    expect(await post(`https://${name}:${receiver.port}/`)).toMatchObject({
      kind: 'answered',
      address: `127.0.0.1:${receiver.port}`,
    });
    expect(dials).toEqual([`127.0.0.2:${receiver.port}`, `127.0.0.1:${receiver.port}`]);
  });

  test.each([300, 301, 302, 303, 304, 305, 306, 307, 308, 399])(
    'answered with %i is not sent anywhere else',
    async (status) => {
      const authority = await makeCertificate();
      const other = await house.receiver({ authority });
      const receiver = await house.receiver({
        authority,
        answer: (_request, response) =>
          response
            .writeHead(status, {
              location: `${other.origin}/elsewhere`,
              refresh: `0; url=${other.origin}`,
              'alt-svc': `h2="127.0.0.1:${other.port}"; ma=86400`,
            })
            .end(),
      });
      const { post, dials } = house.door({ caPem: authority.certPem });
      for (let round = 0; round < 2; round += 1) {
        expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status });
      }
      expect(dials).toHaveLength(1);
      expect(other.accepts).toBe(0);
    },
  );

  test('answered with 401 is not repeated with credentials', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => response.writeHead(401, { 'www-authenticate': 'Basic' }).end(),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin, { headers: { authorization: 'Bearer x' } })).toMatchObject({
      status: 401,
    });
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('a refusal', () => {
  test('by text, name, port or address opens no socket', async () => {
    const receiver = await house.receiver();
    const { post, dials, guard } = house.door({ allow: ['receiver.example'], caPem: receiver.caPem });
    const { port } = receiver;
    const spellings = [
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '１２７.0.0.1',
      '%31%32%37.1',
    ];
    const cases = [
      [`http://127.0.0.1:${port}/?secret`, 'text'],
      [`https://user:secret@127.0.0.1:${port}/`, 'text'],
      [`https://localhost:${port}/secret`, 'name'],
      ['https://receiver.example:22/secret', 'port'],
      ...spellings.map((host) => [`https://${host}:${port}/secret`, 'address']),
      ...['[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]'].map((host) => [
        `https://${host}:${port}/?secret`,
        'address',
      ]),
    ] as const;
    for (const [url = '', stage] of cases) {
      const outcome = await post(url);
      expect(outcome, url).toMatchObject({ kind: 'refused', stage });
      expect(outcome.kind === 'refused' ? outcome.message : 'secret').not.toContain('secret');
      expect(await guard.check(url, never)).toMatchObject({ url, verdict: 'refused', stage });
    }
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });

  test('by one bad answer of many opens no socket', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    dns.answer('A', name, ['127.0.0.1', '10.1.2.3']);
    dns.answer('A', 'six.example', ['127.0.0.1']);
    dns.answer('AAAA', 'six.example', ['::1', 'fd00::1']);
    dns.answer('A', 'alias.example', [
      { type: 'CNAME', name: 'alias.example', ttl: 30, data: 'metadata.example' },
      { type: 'A', name: 'metadata.example', ttl: 30, data: '169.254.169.254' },
    ]);
    dns.answer(
      'A',
      'many.example',
      Array.from({ length: 17 }, (_, index) => `127.0.0.${index + 1}`),
    );
    const { post, dials, guard } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] });
    const messages = {
      [name]: `${name} resolves to 10.1.2.3 (10.0.0.0/8, private); allow it with --egress-allow 10.1.2.3/32`,
      'six.example':
        'six.example resolves to fd00::1 (outside 2000::/3, not global unicast); allow it with --egress-allow fd00::1/128',
      'alias.example':
        'alias.example resolves to 169.254.169.254 (169.254.0.0/16, link-local); allow it with --egress-allow 169.254.169.254/32',
      'many.example': 'many.example has 17 addresses; at most 16 are vetted',
    };
    for (const [host, message] of Object.entries(messages)) {
      const url = `https://${host}:${receiver.port}/secret`;
      expect(await post(url)).toMatchObject({
        kind: 'refused',
        stage: 'dns',
        message: `blocked: ${message}`,
      });
      expect(await guard.check(url, never)).toMatchObject({
        verdict: 'refused',
        stage: 'dns',
        reason: `blocked: ${message}`,
      });
    }
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });

  test('meets a name that is rebound to a forbidden address before its next connection', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    const clock = new ManualClock();
    dns.answer('A', name, (before) => (before === 0 ? ['127.0.0.1'] : ['127.0.0.1', '10.0.0.1']));
    const { post, dials } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] }, clock);
    const url = `https://${name}:${receiver.port}/`;
    expect(await post(url)).toMatchObject({ kind: 'answered' });
    clock.advance(60_000);
    expect(await post(url)).toMatchObject({ kind: 'refused', stage: 'dns' });
    expect(dials).toHaveLength(1);
    expect(receiver.accepts).toBe(1);
  });

  test('ends when the name is repaired', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    const clock = new ManualClock();
    dns.answer('A', name, (before) => (before === 0 ? ['10.0.0.1'] : ['127.0.0.1']));
    const { post } = house.door({ caPem: receiver.caPem, dnsServers: [dns.address] }, clock);
    const url = `https://${name}:${receiver.port}/`;
    expect(await post(url)).toMatchObject({ kind: 'refused', stage: 'dns' });
    clock.advance(30_000);
    expect(await post(url)).toMatchObject({ kind: 'answered' });
  });

  test('differs from a name that cannot be resolved, which is a failure', async () => {
    const dns = await house.dns();
    const { post, dials, guard } = house.door({ dnsServers: [dns.address] });
    expect(await post('https://gone.example.com/secret')).toMatchObject({
      kind: 'failed',
      reason: 'DNS',
      message: 'gone.example.com does not exist or has no address: check the host of the URL',
    });
    expect(await guard.check('https://gone.example.com/', never)).toMatchObject({
      stage: 'dns',
      addresses: [],
    });
    expect(dials).toEqual([]);
  });
});

describe('a header', () => {
  const refused = [
    ['host', 'internal.example'],
    ['Content-Length', '0'],
    ['transfer-encoding', 'chunked'],
    ['connection', 'close'],
    ['te', 'trailers'],
    ['trailer', 'x'],
    ['upgrade', 'h2c'],
    ['keep-alive', 'timeout=9'],
    ['Expect', '100-continue'],
    ['proxy-authorization', 'Basic x'],
    ['Proxy-Anything', 'x'],
    ['http2-settings', 'x'],
    [':authority', 'internal.example'],
    ['', 'x'],
    ['a b', 'x'],
    ['a:b', 'x'],
    ['x\r\nhost', 'x'],
    ['ü', 'x'],
    ['x-a', 'hunter2\r\nhost: internal'],
    ['x-a', 'hunter2\n'],
    ['x-a', 'hunter2\r'],
    ['x-a', 'hunter2\0'],
    ['x-a', 'hunter2\u007f'],
    ['x-a', 'hunter2\u0100'],
    ['x-a', 'hunter2\u{1f600}'],
  ] as const;

  test('that frames or routes, or is none, is refused, and no socket is opened', async () => {
    const receiver = await house.receiver();
    const { post, dials } = house.door({ caPem: receiver.caPem });
    for (const [header, value] of refused) {
      const outcome = await post(receiver.origin, { headers: { 'x-fine': 'y', [header]: value } });
      expect(outcome, JSON.stringify([header, value])).toMatchObject({ kind: 'refused', stage: 'header' });
      expect(JSON.stringify(outcome)).not.toContain('hunter2');
    }
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });

  test('may hold latin-1 and tabs', async () => {
    const receiver = await house.receiver();
    const { post } = house.door({ caPem: receiver.caPem });
    expect(
      await post(receiver.origin, { headers: { 'X-A': 'é\tb', "x!#$%&'*+.^_`|~-1": '' } }),
    ).toMatchObject({
      kind: 'answered',
    });
    expect(receiver.requests[0]?.headers).toMatchObject({ 'x-a': 'é\tb' });
  });
});

describe('a check', () => {
  test('says where it would connect, and connects nowhere', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    dns.answer('A', name, ['127.0.0.1']);
    dns.answer('AAAA', name, ['2606:4700::1111']);
    const { guard, dials } = house.door({ dnsServers: [dns.address] });
    expect(await guard.check(`https://${name}:${receiver.port}/`, never)).toMatchObject({
      stage: 'dns',
      verdict: 'allowed',
      addresses: ['127.0.0.1', '2606:4700::1111'],
    });
    expect(await guard.check(receiver.origin, never)).toMatchObject({
      stage: 'address',
      verdict: 'allowed',
      addresses: ['127.0.0.1'],
    });
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });
});

describe('a connection', () => {
  test('is used again for the same origin, and carries one request at a time', async () => {
    const receiver = await house.receiver();
    const { post, dials } = house.door({ caPem: receiver.caPem });
    await post(`${receiver.origin}/1`);
    const second = await post(`${receiver.origin}/2`);
    expect(Object.keys(second.timings).sort()).toEqual(['durationMs', 'firstByteMs']);
    expect(dials).toHaveLength(1);
    await Promise.all([post(`${receiver.origin}/3`), post(`${receiver.origin}/4`)]);
    expect(dials).toHaveLength(2);
    expect(receiver.requests).toHaveLength(4);
  });

  test('is not used again after 60 s', async () => {
    const receiver = await house.receiver();
    const clock = new ManualClock();
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    await post(receiver.origin);
    clock.advance(59_999);
    await post(receiver.origin);
    expect(receiver.accepts).toBe(1);
    clock.advance(1);
    await post(receiver.origin);
    expect(receiver.accepts).toBe(2);
  });

  test('that is idle is closed when it is 60 s old', async () => {
    const receiver = await house.receiver();
    const clock = new ManualClock();
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    await post(receiver.origin);
    clock.advance(59_999);
    await post(receiver.origin);
    expect(receiver.open).toBe(1);
    clock.advance(1);
    await receiver.drained();
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('that is 60 s old while it is under way ends with its answer', async () => {
    const answers: (() => void)[] = [];
    const receiver = await house.receiver({
      answer: (_request, response) => answers.push(() => response.end()),
    });
    const clock = new ManualClock();
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    const waiting = post(receiver.origin, { timeoutMs: 90_000 });
    await receiver.received(1);
    clock.advance(60_000);
    answers[0]?.();
    expect(await waiting).toMatchObject({ kind: 'answered' });
    await receiver.drained();
  });

  test('that the receiver has closed meanwhile costs no attempt', async () => {
    const receiver = await house.receiver();
    const { post } = house.door({ caPem: receiver.caPem }, new ManualClock());
    for (let round = 1; round <= 5; round += 1) {
      expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
      expect(receiver.accepts).toBe(round);
      receiver.dropConnections();
      if (round > 2) await receiver.drained();
    }
  });

  test('that breaks while the receiver may be at work is not followed by the same message', async () => {
    const clock = new ManualClock();
    const receiver = await house.receiver({
      answer: ({ path }, response) => {
        if (path === '/') return void response.end();
        clock.advance(1_500);
        response.destroy();
      },
    });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    await post(receiver.origin);
    expect(await post(`${receiver.origin}/work`)).toMatchObject({ kind: 'failed', reason: 'Reset' });
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/', '/work']);
    await receiver.drained();
  });

  test.each([
    ['more than 16 KiB of headers', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`],
    ['what is not HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['half a head', 'HTTP/1.1 200 OK\r\nx: '],
    ['a hint', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'],
  ])('that breaks with %s is not followed by the same message', async (_what, text) => {
    const receiver = await house.receiver({
      answer: ({ path }, response) => {
        if (path === '/') return void response.end();
        response.socket?.end(text);
      },
    });
    const { post } = house.door({ caPem: receiver.caPem }, new ManualClock());
    await post(receiver.origin);
    expect(await post(`${receiver.origin}/work`)).toMatchObject({ kind: 'failed', reason: 'Reset' });
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/', '/work']);
    await receiver.drained();
  });

  test('is not used again when the receiver says so', async () => {
    const receiver = await house.receiver({
      answer: (_request, response) => response.writeHead(200, { connection: 'close' }).end('bye'),
    });
    const { post } = house.door({ caPem: receiver.caPem });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
    expect(receiver.accepts).toBe(2);
  });

  test('is closed with the guard, idle or under way', async () => {
    const authority = await makeCertificate();
    const idle = await house.receiver({ authority });
    const slow = await house.receiver({ authority, answer: () => {} });
    const { post, guard } = house.door({ caPem: authority.certPem });
    await post(idle.origin);
    const waiting = post(slow.origin);
    await slow.received(1);
    await guard.close();
    expect(await waiting).toMatchObject({ kind: 'failed', reason: 'Reset' });
    await Promise.all([idle.drained(), slow.drained()]);
    expect(slow.accepts).toBe(1);
  });

  test.each([
    ['at once is opened anew: it was closed while it was idle', 0, 3],
    ['after a while is a failed attempt: the receiver may have worked on it', 200, 2],
  ])('that breaks %s', async (_what, workMs, requests) => {
    const clock = new ManualClock();
    const receiver = await house.receiver({
      answer: ({ path }, response) => {
        if (path !== '/breaks') return void response.end();
        clock.advance(workMs);
        response.socket?.destroy();
      },
    });
    const { post } = house.door({ caPem: receiver.caPem }, clock);
    await post(receiver.origin);
    expect(await post(`${receiver.origin}/breaks`)).toMatchObject({ kind: 'failed', reason: 'Reset' });
    expect(receiver.requests).toHaveLength(requests);
  });

  test('under way twice over is not opened again when the guard closes', async () => {
    const receiver = await house.receiver({
      answer: ({ path }, response) => void (path === '/slow' || response.end()),
    });
    const { post, guard } = house.door({ caPem: receiver.caPem });
    await post(receiver.origin);
    const waiting = post(`${receiver.origin}/slow`);
    await receiver.received(2);
    await guard.close();
    expect(await waiting).toMatchObject({ kind: 'failed', reason: 'Reset' });
    expect(receiver.accepts).toBe(1);
    await receiver.drained();
  });
});
