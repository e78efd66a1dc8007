import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeliveryStatus } from '../../src/api/delivery.ts';
import type { Kind } from '../../src/api/kinds.ts';
import { silentLogger } from '../../src/base/log.ts';
import { defaultRetention, overForMs, sweepDeliveries } from '../../src/report/retention.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { deliveryOf } from './fixtures.ts';

const now = Date.parse('2026-03-01T00:00:00Z');
const days = (count: number): string => new Date(now - count * 24 * 3_600_000).toISOString();
const over = (status: DeliveryStatus | undefined, created = days(400)): boolean =>
  overForMs(
    deliveryOf({ metadata: { creationTimestamp: created }, ...(status === undefined ? {} : { status }) }),
    now,
    defaultRetention,
  ) > 0;

it('keeps Delivered and Skipped ones for 7 days, Failed ones for 30, all others for ever', () => {
  for (const phase of ['Delivered', 'Skipped'] as const) {
    expect(over({ phase, settledAt: days(6.9) })).toBe(false);
    expect(over({ phase, settledAt: days(7.1) })).toBe(true);
  }
  expect(over({ phase: 'Failed', settledAt: days(29.9) })).toBe(false);
  expect(over({ phase: 'Failed', settledAt: days(30.1) })).toBe(true);
  for (const status of [undefined, { phase: 'Pending' }, { phase: 'Retrying' }] as const)
    expect(over(status)).toBe(false);
});

it('takes the age of one whose settledAt cannot be read', () => {
  expect(over({ phase: 'Failed', settledAt: 'yesterday' }, days(31))).toBe(true);
  expect(over({ phase: 'Failed', settledAt: 'yesterday' }, days(29))).toBe(false);
});

it('takes the age of one that a person settled by hand', () => {
  expect(over({ phase: 'Failed' }, days(29))).toBe(false);
  expect(over({ phase: 'Failed' }, days(31))).toBe(true);
});

describe('a clock that is far ahead', () => {
  const hourMs = 3_600_000;
  const dayMs = 24 * hourMs;
  let clock: ManualClock;
  /** Its own, so that the next timer of the other is that of the next sweep. */
  let storeClock: ManualClock;
  let opened: Awaited<ReturnType<typeof temporaryStore>>;
  let stop: AbortController;
  let sweeping: Promise<void>;
  const said: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void said.push(message) };

  beforeEach(async () => {
    clock = new ManualClock();
    storeClock = new ManualClock();
    opened = await temporaryStore({ clock: storeClock });
    stop = new AbortController();
    sweeping = Promise.resolve();
    said.length = 0;
  });
  afterEach(async () => {
    stop.abort();
    await sweeping;
    await opened.close();
  });

  /** One that is settled now. */
  async function settled(name: string): Promise<void> {
    storeClock.setWall(clock.now());
    const { spec, ...rest } = deliveryOf({});
    const metadata = { name, namespace: 'default' };
    await opened.store.create<'Delivery'>({ ...rest, metadata, spec });
    const status = { phase: 'Delivered', settledAt: new Date(clock.now()).toISOString() };
    await opened.store.patch('Delivery', metadata, { status }, { subresource: 'status' });
  }

  const names = async (): Promise<string[]> =>
    (await opened.store.list('Delivery')).items.map(({ metadata }) => metadata.name);

  function start(store = opened.store): void {
    sweeping = sweepDeliveries({ store, namespaces: undefined, clock, log }, defaultRetention, stop.signal);
  }

  /** Lets the next sweep come and go. */
  async function swept(): Promise<void> {
    const untilNext = clock.nextTimerMs ?? 0;
    clock.advance(untilNext);
    while (clock.nextTimerMs === undefined) await turn();
  }

  it('at the start removes nothing, says so, and nothing is lost once it is right again', async () => {
    await settled('a');
    const real = clock.now();
    clock.setWall(real + 3650 * dayMs);
    start();
    for (let sweeps = 0; sweeps < 5; sweeps += 1) await swept();
    expect(await names()).toEqual(['a']);
    expect(said[0]).toContain('see that it is right');
    // What is written meanwhile changes nothing.
    await settled('b');
    await swept();
    clock.setWall(real);
    for (let sweeps = 0; sweeps < 12; sweeps += 1) await swept();
    expect(await names()).toEqual(['a', 'b']);
  });

  it('while the engine runs removes nothing either', async () => {
    await settled('a');
    start();
    for (let sweeps = 0; sweeps < 12; sweeps += 1) await swept();
    clock.setWall(clock.now() + 3650 * dayMs);
    for (let sweeps = 0; sweeps < 5; sweeps += 1) await swept();
    expect(await names()).toEqual(['a']);
  });

  it('cannot be told from a store that nobody used for long, so old Deliveries go when it was steady for 6 h', async () => {
    await settled('a');
    clock.setWall(clock.now() + 60 * dayMs);
    start();
    for (let sweeps = 0; sweeps < 6; sweeps += 1) await swept();
    expect(await names()).toEqual(['a']);
    await swept();
    expect(await names()).toEqual([]);
  });

  it('does not matter to what may be removed that something else may not', async () => {
    const all = Array.from({ length: 250 }, (_, index) => `d${index}`);
    for (const name of all) await settled(name);
    clock.setWall(clock.now() + 7.9 * dayMs);
    const refuse = new StoreError('Unavailable', 'may not: grant it', { isRefusal: true });
    const store = new Proxy(opened.store, {
      get(target, name: keyof ResourceStore) {
        const method = target[name].bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'delete') return method;
        return async (kind: Kind, key: Key, options: object) => {
          if (key.name === 'd100') throw refuse;
          return method(kind, key, options);
        };
      },
    });
    start(store);
    await swept();
    expect(await names()).toEqual(['d100']);
    expect(said).toEqual(['removing old Deliveries will be tried again']);
  });

  it('by no more than engines are off at night puts nothing off', async () => {
    await settled('a');
    clock.setWall(clock.now() + 7.9 * dayMs);
    start();
    await swept();
    expect(await names()).toEqual([]);
  });
});
