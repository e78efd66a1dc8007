import { expect, it } from 'vitest';
import type { DeliveryStatus } from '../../src/api/delivery.ts';
import { defaultRetention, isOver } from '../../src/report/retention.ts';
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
