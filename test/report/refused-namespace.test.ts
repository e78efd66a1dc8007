import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import type { Draft, Kind } from '../../src/api/kinds.ts';
import { systemClock } from '../../src/base/clock.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore } from '../../src/store/store.ts';
import { taskDraft } from './fixtures.ts';
import { House, type RunningRoom, startRoom } from './house.ts';
import type { Receiver } from './receiver.ts';

const notGranted = new StoreError('Unavailable', 'may not: grant it', { isRefusal: true });
const denied = new StoreError('Invalid', 'a policy denies it');
const broken = new StoreError('Unavailable', 'the key of the Secret is lost');

let house: House;
let receiver: Receiver;
/** What the store may not do in namespace `poor`, as an API server that was not granted it says. */
let refused: Kind | undefined;
/** In which words. */
let refusal: StoreError;
/** How often it was refused. */
let refusals: number;
let running: RunningRoom;

beforeEach(async () => {
  house = await House.open();
  receiver = await house.receiver();
  refused = undefined;
  refusal = notGranted;
  refusals = 0;
});
afterEach(async () => {
  // Else stopping waits for what is still to be written.
  refused = undefined;
  await running.stop();
  await house.close();
});

/** Starts the room; what is put off is put off in real time. */
function start(settings: Parameters<typeof startRoom>[3] = {}): void {
  running = startRoom(poorStore(), house.guard, systemClock, settings);
}

/** The house's store, less what is refused: statuses of Deliveries, or Secrets. */
function poorStore(): ResourceStore {
  const { store } = house;
  const check = (kind: Kind, { namespace }: Key): void => {
    if (kind !== refused || namespace !== 'poor') return;
    refusals += 1;
    throw refusal;
  };
  return new Proxy(store, {
    get(target, name: keyof ResourceStore) {
      const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (name !== 'patch' && name !== 'get') return method;
      return async (kind: Kind, key: Key, ...rest: unknown[]) => {
        if (kind === (name === 'patch' ? 'Delivery' : 'Secret')) check(kind, key);
        return method(kind, key, ...rest);
      };
    },
  });
}

async function ended(namespace: string, name: string, webhook: object, hook: object = {}): Promise<void> {
  await house.store.create<'Task'>(taskDraft(name, [{ name, webhook, ...hook }], { namespace }));
  // Not long ago by either clock, or nobody is told.
  const status = { phase: 'Failed', completionTime: new Date().toISOString() };
  await house.store.patch('Task', { namespace, name }, { status }, { subresource: 'status' });
}

const settled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;
const sentTo = (path: string): number => receiver.requests.filter((request) => request.path === path).length;
const names = Array.from({ length: 40 }, (_, index) => `p${index}`);

describe('a namespace in which no status may be written', () => {
  it('takes no place from others, is sent little, and everything once when it may be', async () => {
    start({ maxInFlight: { total: 4, perOrigin: 2 } });
    refused = 'Delivery';
    for (const name of names) await ended('poor', name, { url: `${receiver.url}/poor` });
    await expect.poll(() => refusals).toBeGreaterThan(0);
    await ended('default', 'well', { url: `${receiver.url}/well` });
    await house.delivery('well', settled);
    // As many as were under way when it was first refused, or a few more.
    expect(sentTo('/poor')).toBeLessThan(names.length / 2);
    refused = undefined;
    for (const name of names) await house.delivery(name, settled);
    expect(sentTo('/poor')).toBe(names.length);
  });

  it.each([
    ['is not granted, keeps nobody from being judged', notGranted, { filter: 'false' }],
    ['is denied by a policy, keeps nobody from being judged', denied, { filter: 'false' }],
    ['is denied by a policy, takes no place from others', denied, {}],
  ])('because it %s', async (_what, error, hook) => {
    start();
    [refused, refusal] = ['Delivery', error];
    for (const name of names) await ended('poor', name, { url: `${receiver.url}/poor` }, hook);
    await ended('default', 'well', { url: `${receiver.url}/well` }, { filter: 'true' });
    await house.delivery('well', settled);
    expect(refusals).toBeGreaterThan(0);
  });
});

describe('a namespace in which no Secret can be read', () => {
  it.each([
    ['is not granted', notGranted],
    ['fails', broken],
  ])(
    'because it %s, says so by an Event, and is sent what waits when it can be read',
    async (_what, error) => {
      const secret: Draft<'Secret'> = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'headers', namespace: 'poor' },
        type: 'Opaque',
        data: { 'x-team': Buffer.from('night').toString('base64') },
      };
      await house.store.create<'Secret'>(secret);
      running = startRoom(poorStore(), house.guard, house.clock);
      [refused, refusal] = ['Secret', error];
      await ended('poor', 'waits', { url: `${receiver.url}/poor`, secretRef: { name: 'headers' } });
      const said = async (): Promise<string | undefined> => {
        // Nothing is sent meanwhile, so nothing is late.
        house.clock.advance(10_000);
        const { items } = await house.store.list('Event', { namespace: 'poor' });
        return items.find(({ reason }) => reason === 'DeliveryWaits')?.message;
      };
      await expect.poll(said).toBe(`hook waits cannot be told yet: ${error.message}`);
      const before = refusals;
      refused = undefined;
      house.clock.advance(10_000);
      await house.delivery('waits', settled);
      expect(before).toBeGreaterThan(0);
      expect(receiver.requests.map(({ headers }) => headers['telos-attempt'])).toEqual(['1']);
      const { items } = await house.store.list('Event', { namespace: 'poor' });
      expect(items.filter(({ reason }) => reason === 'DeliveryWaits')).toHaveLength(1);
    },
  );
});
