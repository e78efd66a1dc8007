import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import type { Draft } from '../../src/api/kinds.ts';
import type { LogFields, Logger } from '../../src/base/log.ts';
import { laneOf } from '../../src/report/lane.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { deliveryOf, taskDraft } from './fixtures.ts';
import { House, keyIn } from './house.ts';
import type { Receiver } from './receiver.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

const settled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;
const tried = ({ status }: Delivery): boolean => status?.attemptCount !== undefined;

async function secret(name: string, url: string): Promise<void> {
  const data = { url: Buffer.from(url).toString('base64') };
  const draft: Draft<'Secret'> = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    type: 'Opaque',
    data,
  };
  await house.store.create<'Secret'>(draft);
}

const urlIn = (name: string): object => ({ urlFrom: { secretKeyRef: { name, key: 'url' } } });

/** A Task that has ended, with these hooks. */
async function ended(name: string, hooks: readonly object[], completionTime?: string): Promise<void> {
  await house.store.create<'Task'>(taskDraft(name, hooks));
  await house.setStatus(name, {
    phase: 'Failed',
    completionTime: completionTime ?? new Date(house.clock.now()).toISOString(),
  });
}

/** Sees another Task through to its end: what was going to happen by now has had its time. */
let passes = 0;
async function pass(): Promise<void> {
  const well = await house.receiver();
  passes += 1;
  const name = `pass-${passes}`;
  await ended(name, [{ name, webhook: { url: well.url } }]);
  await house.delivery(name, settled);
}

describe('the lane of a URL', () => {
  const lane = (url: string): string =>
    laneOf(deliveryOf({ spec: { hook: { name: 'a', webhook: { url } } } }));

  it('is its origin, however that is written', () => {
    for (const url of ['https://a.example/x', 'https://A.Example:443/y', 'https://a.example./z?q'])
      expect(lane(url)).toBe('https://a.example');
    expect(lane('https://a.example.:8443/')).toBe('https://a.example:8443');
  });
});

describe('Deliveries whose URLs stand in Secrets', () => {
  it('share the pause of their origin with all that lead there', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 429, headers: { 'retry-after': '60' } });
    house.start();
    await secret('one', `${receiver.url}/one`);
    await secret('two', `${receiver.url}/two`);
    await ended('first', [{ name: 'one', webhook: urlIn('one') }]);
    await house.delivery('one', tried);

    receiver.answer = () => ({ status: 204 });
    await ended('second', [
      { name: 'two', webhook: urlIn('two') },
      { name: 'plain', webhook: { url: `${receiver.url}/plain` } },
    ]);
    await house.delivery('plain');
    await pass();
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/one']);

    house.clock.advance(61_000);
    await house.delivery('two', settled);
    await house.delivery('plain', settled);
  });

  it('share the places of their origin with all that lead there', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => 'hang';
    house.start();
    await secret('one', `${receiver.url}/one`);
    await secret('two', `${receiver.url}/two`);
    const places = [urlIn('one'), urlIn('two'), { url: `${receiver.url}/plain` }];
    for (let index = 0; index < 30; index += 1)
      await ended(`t${index}`, [{ name: `h${index}`, webhook: { ...places[index % 3], timeoutSeconds: 5 } }]);
    await receiver.received(16);
    await pass();
    expect(receiver.requests).toHaveLength(16);
    house.clock.advance(5_500);
  });

  it('go to where the Secret leads when their turn comes', async () => {
    const [old, fresh] = [await house.receiver(), await house.receiver()];
    old.answer = () => ({ status: 429, headers: { 'retry-after': '60' } });
    house.start();
    await secret('one', old.url);
    await ended('first', [{ name: 'first', webhook: urlIn('one') }]);
    await house.delivery('first', tried);
    await ended('second', [{ name: 'second', webhook: urlIn('one') }]);
    await house.delivery('second');
    await pass();
    const data = { url: Buffer.from(fresh.url).toString('base64') };
    await house.store.patch('Secret', keyIn('one'), { data });
    house.clock.advance(67_000);
    await house.delivery('first', settled);
    await house.delivery('second', settled);
    expect([old.requests.length, fresh.requests.length]).toEqual([1, 2]);
  });

  it('keep nothing of the URL in what is stored', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '60' } });
    house.start();
    await secret('one', `${receiver.url}/services/T0KENT0KEN`);
    await ended('first', [{ name: 'first', webhook: urlIn('one') }]);
    expect(JSON.stringify(await house.delivery('first', tried))).not.toContain('T0KEN');
  });
});

describe('the log', () => {
  const lines: { readonly message: string; readonly fields: LogFields }[] = [];
  const note = (message: string, fields: LogFields = {}): void => void lines.push({ message, fields });
  const log: Logger = { debug: note, info: note, warn: note, error: note, child: () => log };
  const said = (message: string): readonly LogFields[] =>
    lines.flatMap((line) => (line.message === message ? [line.fields] : []));
  beforeEach(() => void lines.splice(0));

  it('says of a hook whose URL stands in a Secret which origin it leads to, and nothing behind that', async () => {
    const receiver = await house.receiver();
    receiver.answer = ({ path }) => ({ status: path.includes('bad') ? 400 : 500 });
    house.start({ log });
    await secret('one', `${receiver.url}/T0KEN/bad?T0KEN`);
    await ended('first', [
      { name: 'bad', webhook: urlIn('one') },
      { name: 'lost', webhook: urlIn('nowhere') },
      { name: 'unwanted', filter: 'false', webhook: urlIn('one') },
    ]);
    await house.delivery('bad', settled);
    await house.delivery('lost', tried);
    await house.delivery('unwanted', settled);
    for (let index = 0; index < 5; index += 1) {
      await secret(`sick${index}`, `${receiver.url}/T0KEN/down`);
      await ended(`sick${index}`, [{ name: `sick${index}`, webhook: urlIn(`sick${index}`) }]);
      await house.delivery(`sick${index}`, tried);
    }
    await pass();
    const of = (hook: string): readonly LogFields[] =>
      lines.map(({ fields }) => fields).filter((each) => each['hook'] === hook);
    expect(of('bad')).toMatchObject([{ origin: receiver.url, reason: 'Rejected' }]);
    expect(of('sick0')).toMatchObject([{ origin: receiver.url, reason: 'HTTPStatus' }]);
    // Nobody knows where these lead: their Secret is not there, or was not asked.
    for (const hook of ['lost', 'unwanted']) {
      expect(of(hook)).toHaveLength(1);
      expect(of(hook)[0]).not.toHaveProperty('origin');
    }
    expect(of('lost')).toMatchObject([{ urlFrom: 'nowhere/url' }]);
    expect(said('an origin fails again and again; its Deliveries wait')).toEqual([{ origin: receiver.url }]);
    expect(JSON.stringify(lines)).not.toMatch(/T0KEN|secret:/);
  });

  it('says where a last attempt went, of which one origin never has more than its places', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } });
    // A namespace that goes, as an API server tells of it.
    const going: ResourceStore = new Proxy(house.store, {
      get(store, name) {
        if (name !== 'create') {
          const value: unknown = Reflect.get(store, name, store);
          return typeof value === 'function' ? value.bind(store) : value;
        }
        const create: ResourceStore['create'] = async (draft, options) => {
          if (options?.dryRun === true) throw new StoreError('NotFound', 'the namespace goes');
          return store.create(draft, options);
        };
        return create;
      },
    });
    const { stop } = house.start({ log }, going);
    const hooks = Array.from({ length: 24 }, (_, index) => `h${index}`);
    await secret('first', `${receiver.url}/T0KEN/first`);
    await ended('first', [{ name: 'first', webhook: urlIn('first') }]);
    await house.delivery('first', tried);
    for (const hook of hooks) {
      await secret(hook, `${receiver.url}/T0KEN/${hook}`);
      await ended(hook, [{ name: hook, webhook: { ...urlIn(hook), timeoutSeconds: 5 } }]);
      await house.delivery(hook);
    }
    await pass();
    receiver.answer = () => 'hang';
    for (const { metadata, spec } of await house.deliveries())
      if (hooks.includes(spec.hook.name)) await house.store.delete('Delivery', metadata);
    await receiver.received(1 + 16);
    await pass();
    expect(receiver.requests).toHaveLength(1 + 16);
    receiver.answer = () => ({ status: 204 });
    house.clock.advance(5_500);
    await receiver.received(1 + hooks.length);
    await stop();
    const told = said('a Delivery went with its namespace');
    expect(told).toHaveLength(hooks.length);
    expect(new Set(told.map(({ origin }) => origin))).toEqual(new Set([receiver.url]));
    expect(JSON.stringify(lines)).not.toMatch(/T0KEN|secret:/);
  });
});

describe('the pause that an origin asked for', () => {
  it('outlives a restart, for whatever leads there and no longer', async () => {
    const receivers: readonly Receiver[] = [await house.receiver(), await house.receiver()];
    const [plain, hidden] = receivers.map(({ url }) => url);
    await secret('one', `${hidden}/one`);
    await secret('two', `${hidden}/two`);
    for (const receiver of receivers)
      receiver.answer = () => ({ status: 429, headers: { 'retry-after': '600' } });
    const before = house.start();
    await ended('first', [
      { name: 'first-plain', webhook: { url: plain } },
      { name: 'first-hidden', webhook: { ...urlIn('one'), retry: { maxAttempts: 1 } } },
    ]);
    await house.delivery('first-plain', tried);
    await house.delivery('first-hidden', tried);
    await before.stop();
    house.clock.advance(300_000);

    for (const receiver of receivers) receiver.answer = () => ({ status: 204 });
    house.start();
    await ended('second', [
      { name: 'second-plain', webhook: { url: plain } },
      { name: 'second-hidden', webhook: urlIn('two') },
    ]);
    await house.delivery('second-hidden');
    await pass();
    expect(receivers.map(({ requests }) => requests.length)).toEqual([1, 1]);
    house.clock.advance(301_000);
    await house.delivery('second-plain', settled);
    await house.delivery('second-hidden', settled);
  });

  it('is not taken for as long as the schedule puts the next attempt off', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 503 });
    const before = house.start();
    await ended('first', [{ name: 'first', webhook: { url: receiver.url } }]);
    const next = async (attempts: number): Promise<void> => {
      const { status } = await house.delivery('first', (seen) => seen.status?.attemptCount === attempts);
      house.clock.advance(Date.parse(status?.nextAttemptAt ?? '') - house.clock.now());
    };
    for (const attempts of [1, 2, 3]) await next(attempts);
    await house.delivery('first', (seen) => seen.status?.attemptCount === 4);
    await before.stop();
    house.clock.advance(6_000);
    receiver.answer = () => ({ status: 204 });
    house.start();
    await ended('second', [{ name: 'second', webhook: { url: receiver.url } }]);
    await house.delivery('second', settled);
  });
});

describe('an operator', () => {
  it('says how many attempts are under way at one origin', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => 'hang';
    house.start({ maxInFlight: { total: 8, perOrigin: 2 } });
    for (let index = 0; index < 4; index += 1)
      await ended(`t${index}`, [{ name: `h${index}`, webhook: { url: receiver.url, timeoutSeconds: 5 } }]);
    await receiver.received(2);
    await pass();
    expect(receiver.requests).toHaveLength(2);
    receiver.answer = () => ({ status: 204 });
    house.clock.advance(5_500);
    await receiver.received(4);
  });

  it('says how many attempts are under way in all', async () => {
    const receivers = await Promise.all([1, 2, 3].map(() => house.receiver()));
    for (const receiver of receivers) receiver.answer = () => 'hang';
    house.start({ maxInFlight: { total: 2, perOrigin: 1 } });
    for (const [index, { url }] of receivers.entries()) {
      await ended(`t${index}`, [{ name: `h${index}`, webhook: { url, timeoutSeconds: 5 } }]);
      await house.delivery(`h${index}`);
      if (index < 2) await receivers[index]?.received(1);
    }
    // What needs no message is reached even so.
    await ended('no', [{ name: 'no', filter: 'false', webhook: { url: receivers[2]?.url } }]);
    await house.delivery('no', settled);
    expect(receivers.map(({ requests }) => requests.length)).toEqual([1, 1, 0]);
    for (const receiver of receivers) receiver.answer = () => ({ status: 204 });
    house.clock.advance(5_500);
    await receivers[2]?.received(1);
  });

  it('says when it is tried again', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 404 });
    house.start({ retryStepsMs: [1_000, 2_000] });
    await ended('t', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.delivery('a', ({ status }) => status?.attemptCount === 1);
    house.clock.advance(1_101);
    await house.delivery('a', ({ status }) => status?.attemptCount === 2);
    house.clock.advance(2_201);
    expect((await house.delivery('a', settled)).status).toMatchObject({
      reason: 'Exhausted',
      attemptCount: 3,
    });
  });
});

describe('a verdict that needs no network', () => {
  it('is reached although its origin is paused', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } });
    house.start();
    await ended('first', [{ name: 'first', webhook: { url: receiver.url } }]);
    await house.delivery('first', tried);

    const { url } = receiver;
    await secret('blocked', url.replace('https://', 'https://user:word@'));
    await ended('second', [
      { name: 'unwanted', filter: 'false', webhook: { url } },
      { name: 'failing', filter: 'task.results["none"] == "x"', webhook: { url } },
      { name: 'template', webhook: { url, template: '{{ .task.nothing.at.all }}' } },
      { name: 'blocked', webhook: urlIn('blocked') },
      { name: 'lost', webhook: urlIn('nowhere') },
    ]);
    await ended('third', [{ name: 'expired', webhook: { url } }], '2025-01-02T03:04:05Z');
    const reasonOf = async (hook: string): Promise<string | undefined> =>
      (await house.delivery(hook, ({ status }) => status?.reason !== undefined)).status?.reason;
    expect(await reasonOf('unwanted')).toBe('FilterFalse');
    expect(await reasonOf('failing')).toBe('Filter');
    expect(await reasonOf('template')).toBe('Template');
    expect(await reasonOf('blocked')).toBe('Blocked');
    expect(await reasonOf('lost')).toBe('SecretNotFound');
    expect(await reasonOf('expired')).toBe('Expired');
    expect(receiver.requests).toHaveLength(1);
  });

  it('does not keep the others from their turn, once', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 429, headers: { 'retry-after': '60' } });
    house.start();
    await ended('first', [{ name: 'first', webhook: { url: receiver.url } }]);
    await house.delivery('first', tried);
    receiver.answer = () => ({ status: 204 });
    for (let index = 0; index < 50; index += 1)
      await ended(`t${index}`, [
        { name: `yes${index}`, filter: 'task.phase == "Failed"', webhook: { url: receiver.url } },
        { name: `no${index}`, filter: 'task.phase != "Failed"', webhook: { url: receiver.url } },
      ]);
    for (let index = 0; index < 50; index += 1) await house.delivery(`no${index}`, settled);
    expect(receiver.requests).toHaveLength(1);
    house.clock.advance(67_000);
    for (let index = 0; index < 50; index += 1)
      expect((await house.delivery(`yes${index}`, settled)).status?.phase).toBe('Delivered');
    await house.delivery('first', settled);
    expect(receiver.requests).toHaveLength(52);
  });
});
