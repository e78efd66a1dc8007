import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Payload } from '../../src/api/delivery.ts';
import type { Hook } from '../../src/api/hook.ts';
import type { Secret } from '../../src/api/secret.ts';
import { type HookTest, prepareHookTest, samplePayload } from '../../src/report/hook-test.ts';
import { payloadOf } from '../../src/report/payload.ts';
import { secretOf, taskDraft } from './fixtures.ts';
import { House } from './house.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

function prepare(hook: Hook, secrets: readonly Secret[] = [], told?: Payload): Promise<HookTest> {
  const { clock, guard } = house;
  const payload = told ?? samplePayload('Failed', { namespace: 'default' }, clock.now());
  const source = {
    read: async (_: string, name: string) => secrets.find((each) => each.metadata.name === name),
  };
  return prepareHookTest(
    { hook, namespace: 'default', payload },
    { hookSecrets: 'any', version: '0.0.0' },
    { guard, clock, secrets: source },
  );
}

describe('trying a hook', () => {
  it('shows the very request that is then sent, values from Secrets masked', async () => {
    const receiver = await house.receiver();
    const webhook = { url: `${receiver.url}/x?a=1`, secretRef: { name: 'headers' } };
    const tried = await prepare({ name: 'a', webhook }, [secretOf({ Authorization: 'Bearer c4n4ry' })]);
    if (tried.prepared.kind !== 'ready') throw new Error('must be ready');
    const { request } = tried.prepared;
    expect(request).toMatchObject({
      method: 'POST',
      url: `${receiver.url}/x?a=1`,
      headers: { authorization: '***' },
    });
    expect(JSON.stringify(tried)).not.toContain('c4n4ry');

    const { verdict, record } = await tried.send(new AbortController().signal);
    expect(verdict).toMatchObject({ kind: 'delivered', message: 'answered 204 No Content' });
    expect(record).toMatchObject({ number: 1, httpStatus: 204 });
    const [sent] = receiver.requests;
    expect(sent?.path).toBe('/x?a=1');
    expect(sent?.body).toBe(request.body);
    expect(sent?.headers).toMatchObject({ ...request.headers, authorization: 'Bearer c4n4ry' });
  });

  it.each([
    ['json', {}],
    ['cloudevents', { format: 'cloudevents' as const }],
    ['a template', { template: '{{ .task }} {{ json .results }}', contentType: 'text/plain' }],
    ['a signed body', { signing: { secretRef: { name: 'keys', key: 'signing' } } }],
    ['headers of a Secret', { secretRef: { name: 'headers' } }],
    ['a URL of a Secret', { urlFrom: { secretKeyRef: { name: 'keys', key: 'url' } }, url: undefined }],
  ])('shows and sends byte for byte what a Delivery sends, but for its id and time: %s', async (_, over) => {
    const receiver = await house.receiver();
    const secrets = [
      secretOf({ Authorization: 'Bearer abc', 'X-Trace': 'a b' }),
      secretOf(
        { signing: `whsec_${Buffer.from('a key').toString('base64')}`, url: `${receiver.url}/hook?a=1` },
        { metadata: { name: 'keys' } },
      ),
    ];
    const hook: Hook = JSON.parse(
      JSON.stringify({ name: 'a', webhook: { url: `${receiver.url}/hook?a=1`, ...over } }),
    );
    for (const { metadata, data } of secrets)
      await house.store.create<'Secret'>({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: metadata.name, namespace: 'default' },
        data: data ?? {},
      });
    house.start();
    await house.store.create<'Task'>(taskDraft('fix-7', [hook]));
    const task = await house.setStatus('fix-7', {
      phase: 'Failed',
      completionTime: '2026-01-02T03:04:00Z',
      message: 'exit status 1 é 漢 🦀',
      outputs: ['pr: https://example.com/1'],
      results: { pr: 'https://example.com/1', '10': 'ten', '2': '<&>' },
    });
    await house.delivery('a', ({ status }) => status?.phase === 'Delivered');

    const tried = await prepare(hook, secrets, payloadOf(task, 'Failed'));
    if (tried.prepared.kind !== 'ready') throw new Error('must be ready');
    expect((await tried.send(new AbortController().signal)).verdict.kind).toBe('delivered');

    const [delivered, tested] = receiver.requests;
    if (delivered === undefined || tested === undefined) throw new Error('both must have arrived');
    const own = ['webhook-id', 'webhook-timestamp', 'webhook-signature', 'ce-id'];
    const rest = (headers: Readonly<Record<string, string>>): unknown =>
      Object.fromEntries(Object.entries(headers).filter(([name]) => !own.includes(name)));
    expect(Object.keys(tested.headers)).toEqual(Object.keys(delivered.headers));
    expect(rest(tested.headers)).toEqual(rest(delivered.headers));
    expect(tested.path).toBe(delivered.path);
    expect(tested.body).toBe(delivered.body);
    expect(tried.prepared.request.body).toBe(delivered.body);
    expect(Object.keys(tried.prepared.request.headers).every((name) => name in delivered.headers)).toBe(true);
  });

  it('shows of a URL that is a credential its origin only', async () => {
    const secret = secretOf({ url: 'https://chat.example/T1/c4n4ry?key=c4n4ry' });
    const tried = await prepare(
      { name: 'a', webhook: { urlFrom: { secretKeyRef: { name: 'headers', key: 'url' } } } },
      [secret],
    );
    expect(tried.prepared).toMatchObject({ kind: 'ready', request: { url: 'https://chat.example/***' } });
    expect(JSON.stringify(tried)).not.toContain('c4n4ry');
  });

  it('says what stands in the way, and sends nothing then', async () => {
    const receiver = await house.receiver();
    const tried = await prepare({
      name: 'a',
      webhook: { url: receiver.url, secretRef: { name: 'missing' } },
    });
    expect(tried.prepared).toMatchObject({ kind: 'refused', verdict: { reason: 'SecretNotFound' } });
    const { outcome, verdict } = await tried.send(new AbortController().signal);
    expect(outcome).toBeUndefined();
    expect(verdict).toMatchObject({ kind: 'retry', reason: 'SecretNotFound' });
    expect(receiver.requests).toEqual([]);
  });

  it('says whether the hook would be told at all', async () => {
    const webhook = { url: 'https://hooks.example.com/' };
    const match = async (hook: Partial<Hook>): Promise<unknown> =>
      (await prepare({ name: 'a', webhook, ...hook })).match;
    expect(await match({})).toEqual({ wanted: true });
    expect(await match({ phases: ['Succeeded'] })).toMatchObject({ wanted: false });
    expect(await match({ filter: "task.phase == 'Failed'" })).toEqual({ wanted: true });
    expect(await match({ filter: "task.phase == 'Succeeded'" })).toMatchObject({ wanted: false });
    expect(await match({ filter: 'task.nothing' })).toMatchObject({
      wanted: false,
      message: expect.stringContaining('fails'),
    });
  });
});
