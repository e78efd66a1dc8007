import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Hook } from '../../src/api/hook.ts';
import type { Secret } from '../../src/api/secret.ts';
import { type HookTest, prepareHookTest, samplePayload } from '../../src/report/hook-test.ts';
import { secretOf } from './fixtures.ts';
import { House } from './house.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

function prepare(hook: Hook, secrets: readonly Secret[] = []): Promise<HookTest> {
  const { clock, guard } = house;
  const source = {
    read: async (_: string, name: string) => secrets.find((each) => each.metadata.name === name),
  };
  return prepareHookTest(
    { hook, namespace: 'default', payload: samplePayload('Failed', { namespace: 'default' }, clock.now()) },
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
