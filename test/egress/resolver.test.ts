import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Resolver } from '../../src/egress/resolver.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { ManualClock } from '../support/manual-clock.ts';

const name = 'hooks.example.com';
const never = new AbortController().signal;

describe('the resolver', () => {
  let dns: DnsServer;
  let clock: ManualClock;
  let resolver: Resolver;

  beforeEach(async () => {
    dns = await startDnsServer();
    clock = new ManualClock();
    resolver = new Resolver([dns.address], clock);
  });
  afterEach(() => dns.close());

  const failure = async (asking: Promise<unknown>): Promise<{ code: unknown; message: string }> => {
    const thrown = await asking.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(Error);
    const { code, message } = thrown as Error & { code: unknown };
    return { code, message };
  };

  test('asks for A and AAAA, of the whole name and no search domain', async () => {
    dns.answer('A', name, ['93.184.216.34']);
    dns.answer('AAAA', name, ['2606:2800:21f:cb07::1']);
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.34', '2606:2800:21f:cb07::1']);
    expect([...dns.questions].sort()).toEqual([`A ${name}`, `AAAA ${name}`]);
  });

  test('needs only one of the two families to have an answer', async () => {
    dns.answer('AAAA', name, ['2606:2800:21f:cb07::1']);
    expect(await resolver.resolve(name, never)).toEqual(['2606:2800:21f:cb07::1']);
  });

  test('follows a chain of aliases to its addresses', async () => {
    dns.answer('A', name, [
      { type: 'CNAME', name, ttl: 30, data: 'edge.example.net' },
      { type: 'CNAME', name: 'edge.example.net', ttl: 30, data: 'node.example.org' },
      { type: 'A', name: 'node.example.org', ttl: 30, data: '93.184.216.34' },
    ]);
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.34']);
  });

  test('tells a name that does not exist from a server that is broken', async () => {
    expect(await failure(resolver.resolve('gone.example.com', never))).toEqual({
      code: 'NotFound',
      message: 'gone.example.com does not exist or has no address: check the host of the URL',
    });
    dns.answer('A', name, 'SERVFAIL');
    dns.answer('AAAA', name, 'SERVFAIL');
    const broken = await failure(resolver.resolve(name, never));
    expect(broken).toEqual({
      code: 'Failed',
      message: `${name} cannot be resolved: ESERVFAIL; check --dns-server, or the system's DNS`,
    });
  });

  test('a name without addresses is as good as none', async () => {
    dns.answer('A', name, []);
    expect((await failure(resolver.resolve(name, never))).code).toBe('NotFound');
  });

  test('gives up after 3 s without an answer, and asks again next time', async () => {
    dns.answer('A', name, (before) => (before === 0 ? 'silence' : ['93.184.216.34']));
    dns.answer('AAAA', name, (before) => (before === 0 ? 'silence' : []));
    const asking = failure(resolver.resolve(name, never));
    await dns.asked(2);
    expect(clock.nextTimerMs).toBe(3_000);
    clock.advance(3_000);
    expect(await asking).toEqual({
      code: 'Failed',
      message: `${name} cannot be resolved: no answer within 3 s; check --dns-server, or the system's DNS`,
    });
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.34']);
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('uses the family that answered when asking for the other fails', async () => {
    dns.answer('A', name, ['93.184.216.34']);
    dns.answer('AAAA', name, 'SERVFAIL');
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.34']);
  });

  test('vets 16 answers and refuses 17', async () => {
    const addresses = Array.from({ length: 17 }, (_, index) => `93.184.216.${index + 1}`);
    dns.answer('A', name, addresses.slice(0, 16));
    dns.answer('A', 'many.example.com', addresses);
    expect(await resolver.resolve(name, never)).toHaveLength(16);
    const refused = await failure(resolver.resolve('many.example.com', never));
    expect(refused).toEqual({
      code: 'TooMany',
      message: 'many.example.com has 17 addresses; at most 16 are vetted',
    });
  });

  test.each([
    { ttl: 0, seconds: 5 },
    { ttl: 30, seconds: 30 },
    { ttl: 86_400, seconds: 60 },
  ])('believes an answer with TTL $ttl for $seconds s', async ({ ttl, seconds }) => {
    dns.answer('A', name, (before) => [{ type: 'A', name, ttl, data: `93.184.216.${before + 1}` }]);
    await resolver.resolve(name, never);
    clock.advance(seconds * 1000 - 1);
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.1']);
    clock.advance(1);
    expect(await resolver.resolve(name, never)).toEqual(['93.184.216.2']);
  });

  test('asks the same question at the same time only once', async () => {
    dns.answer('A', name, ['93.184.216.34']);
    const answers = await Promise.all(Array.from({ length: 10 }, () => resolver.resolve(name, never)));
    expect(new Set(answers.flat())).toEqual(new Set(['93.184.216.34']));
    expect(dns.questions).toHaveLength(2);
  });

  test('one who gives up does not take the answer from the others', async () => {
    dns.answer('A', name, ['93.184.216.34']);
    const impatient = new AbortController();
    const gone = failure(resolver.resolve(name, impatient.signal));
    const patient = resolver.resolve(name, never);
    impatient.abort(new Error('given up'));
    expect((await gone).message).toBe('given up');
    expect(await patient).toEqual(['93.184.216.34']);
  });

  test('asks nobody about localhost', async () => {
    expect(await resolver.resolve('a.localhost', never)).toEqual(['127.0.0.1', '::1']);
    expect(dns.questions).toEqual([]);
  });
});
