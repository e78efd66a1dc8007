import { expect, it, onTestFinished } from 'vitest';
import type { DeliveryStatus } from '../../src/api/delivery.ts';
import { silentLogger } from '../../src/base/log.ts';
import { defaultRetention, isOver, retentionOf, sweepDeliveries } from '../../src/report/retention.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { deliveryOf } from './fixtures.ts';

const now = Date.parse('2026-03-01T00:00:00Z');
const days = (count: number): string => new Date(now - count * 24 * 3_600_000).toISOString();
const over = (status: DeliveryStatus | undefined, created = days(400)): boolean =>
  isOver(
    deliveryOf({ metadata: { creationTimestamp: created }, ...(status === undefined ? {} : { status }) }),
    now,
    defaultRetention,
  );

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

it('looks once an hour, or four times within the time that they are kept', async () => {
  const { store, close } = await temporaryStore();
  onTestFinished(close);
  for (const [retention, pauseMs] of [
    [defaultRetention, 3_600_000],
    [retentionOf(20 * 60_000), 5 * 60_000],
  ] as const) {
    const clock = new ManualClock();
    const ending = new AbortController();
    const sweeping = sweepDeliveries(
      { store, namespaces: undefined, clock, log: silentLogger },
      retention,
      ending.signal,
    );
    clock.advance(60_000);
    await expect.poll(() => clock.nextTimerMs).toBe(pauseMs);
    ending.abort();
    await sweeping;
  }
});
