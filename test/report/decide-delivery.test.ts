import { describe, expect, it } from 'vitest';
import type { DeliveryStatus } from '../../src/api/delivery.ts';
import type { Hook } from '../../src/api/hook.ts';
import { expiredAnnotation, redeliverAnnotation } from '../../src/api/names.ts';
import {
  attemptedStatus,
  decideStep,
  dueAt,
  needsDispatch,
  pauseLeft,
  type StepDeps,
  settledStatus,
} from '../../src/report/decide-delivery.ts';
import type { Verdict } from '../../src/report/verdict.ts';
import { deliveryOf } from './fixtures.ts';

const url = 'https://hooks.example.com/x';
const hook: Hook = { name: 'oncall', webhook: { url } };
const nowMs = Date.parse('2026-01-02T03:04:05.250Z');
const time = { nowMs, random: 0 };
const deps: StepDeps = { filter: () => true, isGone: false };
const unavailable: Verdict = {
  kind: 'retry',
  reason: 'Unavailable',
  message: 'answered 503',
  health: 'sick',
};
const record = (number: number): { number: number; at: string; reason: 'Unavailable' } => ({
  number,
  at: '2026-01-02T03:04:05.000Z',
  reason: 'Unavailable',
});

describe('a Delivery that is due', () => {
  it('is sent', () => {
    expect(decideStep(deliveryOf(), deps)).toEqual({ do: 'send', hook });
  });

  it('fails when its hook is invalid, with what is wrong', () => {
    const invalid = deliveryOf({ spec: { hook: { name: 'x', invalid: 'webhook.url: must be https' } } });
    expect(decideStep(invalid, deps)).toMatchObject({
      phase: 'Failed',
      reason: 'InvalidHook',
      message: 'webhook.url: must be https',
    });
    const odd = deliveryOf({ spec: { hook: { name: 'x' } } });
    expect(decideStep(odd, deps)).toMatchObject({ phase: 'Failed', reason: 'InvalidHook' });
  });

  it('is skipped when its completion was too old, its URL is gone, or its filter is false', () => {
    const expired = deliveryOf({ metadata: { annotations: { [expiredAnnotation]: 'true' } } });
    expect(decideStep(expired, deps)).toMatchObject({ phase: 'Skipped', reason: 'Expired' });
    expect(decideStep(deliveryOf(), { ...deps, isGone: true })).toMatchObject({
      phase: 'Skipped',
      reason: 'Gone',
    });
    const filtered = deliveryOf({ spec: { hook: { ...hook, filter: 'false' } } });
    expect(decideStep(filtered, { ...deps, filter: () => false })).toMatchObject({
      phase: 'Skipped',
      reason: 'FilterFalse',
    });
  });

  it('fails visibly when its filter fails or gives no boolean', () => {
    const filtered = deliveryOf({ spec: { hook: { ...hook, filter: 'task.x' } } });
    const failing = (): never => {
      throw new Error('no such key: x');
    };
    expect(decideStep(filtered, { ...deps, filter: failing })).toMatchObject({
      phase: 'Failed',
      reason: 'Filter',
      message: expect.stringContaining('no such key: x'),
    });
    expect(decideStep(filtered, { ...deps, filter: () => 7 })).toMatchObject({
      phase: 'Failed',
      reason: 'Filter',
    });
  });

  it('is sent whatever the filter, its age or a 410 says, once a person asked for it', () => {
    const annotations = { [expiredAnnotation]: 'true', [redeliverAnnotation]: 'now' };
    const asked = deliveryOf({ metadata: { annotations }, spec: { hook: { ...hook, filter: 'false' } } });
    const against = { filter: () => false, isGone: true };
    expect(decideStep(asked, against).do).toBe('send');
    expect(decideStep({ ...asked, status: { phase: 'Retrying', redelivered: 'now' } }, against).do).toBe(
      'send',
    );
  });
});

describe('the status after an attempt', () => {
  it('is Retrying with the next time, to the millisecond', () => {
    expect(attemptedStatus(deliveryOf(), hook, unavailable, record(1), time)).toEqual({
      phase: 'Retrying',
      reason: 'Unavailable',
      message: 'answered 503',
      attemptCount: 1,
      attempts: [record(1)],
      nextAttemptAt: '2026-01-02T03:04:10.250Z',
      settledAt: null,
    });
  });

  it('is Failed and Exhausted after the last attempt, and says what the last one met', () => {
    const delivery = deliveryOf({ status: { phase: 'Retrying', attemptCount: 9 } });
    expect(attemptedStatus(delivery, hook, unavailable, record(10), time)).toMatchObject({
      phase: 'Failed',
      reason: 'Exhausted',
      message: 'all 10 attempts failed, the last: Unavailable: answered 503',
      settledAt: '2026-01-02T03:04:05Z',
      nextAttemptAt: null,
    });
  });

  it('keeps the last ten attempts', () => {
    const attempts = Array.from({ length: 10 }, (_, index) => record(index + 1));
    const retrying = deliveryOf({ status: { phase: 'Retrying', attemptCount: 10, attempts } });
    const more = { ...hook, webhook: { ...hook.webhook, retry: { maxAttempts: 20 } } };
    const { attempts: kept } = attemptedStatus(retrying, more, unavailable, record(11), time);
    expect(kept?.map(({ number }) => number)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('is due now when its time was written while the clock was wrong', () => {
    const status: DeliveryStatus = { phase: 'Retrying', nextAttemptAt: '2036-01-01T00:00:00.000Z' };
    expect(dueAt(deliveryOf({ status }), nowMs)).toBe(0);
  });

  describe('whose last attempt another clock, hours ahead of this one, has written', () => {
    const origin = 'https://hooks.example.com';
    const ahead: DeliveryStatus = {
      phase: 'Retrying',
      attemptCount: 1,
      attempts: [
        {
          ...record(1),
          at: '2026-01-02T06:04:05.250Z',
          pause: { origin, until: '2026-01-02T06:04:15.250Z' },
        },
      ],
      nextAttemptAt: '2026-01-02T06:04:20.250Z',
    };

    it('leaves its origin alone for as long as was asked for', () => {
      expect(pauseLeft(deliveryOf({ status: ahead }), nowMs)).toEqual({ origin, pauseMs: 10_000 });
    });

    it('is due after the time that was meant', () => {
      expect(dueAt(deliveryOf({ status: ahead }), nowMs)).toBe(nowMs + 15_000);
    });

    it('says nothing of an origin that its hook does not lead to', () => {
      const webhook = { url: 'https://another.example.com/x' };
      const spec = { hook: { name: 'a', webhook } };
      expect(pauseLeft(deliveryOf({ spec, status: ahead }), nowMs)).toBeUndefined();
    });

    it('is left as it is once that time has come', () => {
      const laterMs = Date.parse('2026-01-02T06:04:10.250Z');
      expect(pauseLeft(deliveryOf({ status: ahead }), laterMs)).toEqual({ origin, pauseMs: 5_000 });
      expect(dueAt(deliveryOf({ status: ahead }), laterMs)).toBe(laterMs + 10_000);
    });
  });

  it('begins a fresh schedule when a person asked for it, and counts attempts on', () => {
    const status: DeliveryStatus = {
      phase: 'Failed',
      reason: 'Exhausted',
      attemptCount: 10,
      settledAt: '2026-01-01T00:00:00Z',
    };
    const asked = deliveryOf({ metadata: { annotations: { [redeliverAnnotation]: 'r1' } }, status });
    expect(needsDispatch(asked)).toBe(true);
    expect(dueAt(asked, nowMs)).toBe(0);
    const after = attemptedStatus(asked, hook, unavailable, record(11), time);
    expect(after).toMatchObject({
      phase: 'Retrying',
      attemptCount: 11,
      scheduleStart: 10,
      redelivered: 'r1',
      nextAttemptAt: '2026-01-02T03:04:10.250Z',
    });
    expect(needsDispatch({ ...asked, status: { ...status, phase: 'Failed', redelivered: 'r1' } })).toBe(
      false,
    );
  });

  describe('that a person put back to Pending', () => {
    const settledOnce: DeliveryStatus = {
      phase: 'Pending',
      reason: 'Exhausted',
      attemptCount: 10,
      settledAt: '2026-01-01T00:00:00Z',
    };
    const filtered = { name: 'oncall', filter: 'false', webhook: { url: 'https://hooks.example.com/x' } };

    it('is due now, and begins a fresh schedule, once', () => {
      const asked = deliveryOf({ status: settledOnce });
      expect(dueAt(asked, nowMs)).toBe(0);
      const after = attemptedStatus(asked, hook, unavailable, record(11), time);
      expect(after).toMatchObject({ phase: 'Retrying', scheduleStart: 10, settledAt: null });
      const { settledAt: _gone, ...rest } = { ...settledOnce, ...after };
      const status = { ...rest, attemptCount: 11, attempts: [] } as DeliveryStatus;
      expect(dueAt(deliveryOf({ status }), nowMs)).toBe(nowMs + 5_000);
      const twice = attemptedStatus(deliveryOf({ status }), hook, unavailable, record(12), time);
      expect(twice).toMatchObject({ phase: 'Retrying', nextAttemptAt: '2026-01-02T03:04:35.250Z' });
    });

    it('is due now although it was to be tried later', () => {
      const status: DeliveryStatus = {
        phase: 'Pending',
        attemptCount: 3,
        nextAttemptAt: '2026-01-02T04:00:00.000Z',
      };
      expect(dueAt(deliveryOf({ status }), nowMs)).toBe(0);
    });

    it('is sent whatever its filter or its age says, as when it is redelivered', () => {
      const skipped: DeliveryStatus = {
        phase: 'Pending',
        reason: 'FilterFalse',
        settledAt: '2026-01-01T00:00:00Z',
      };
      const expired = { annotations: { [expiredAnnotation]: 'true' } };
      const asked = deliveryOf({ status: skipped, spec: { hook: filtered }, metadata: expired });
      expect(decideStep(asked, deps).do).toBe('send');
      const { redelivered } = attemptedStatus(asked, hook, unavailable, record(1), time);
      expect(redelivered).toEqual(expect.any(String));
    });

    it('is not taken for redelivered once more when that was asked for earlier', () => {
      const annotated = { annotations: { [redeliverAnnotation]: 'r1' } };
      const asked = deliveryOf({ metadata: annotated, status: { ...settledOnce, redelivered: 'r1' } });
      const { redelivered } = attemptedStatus(asked, hook, unavailable, record(11), time);
      expect(redelivered).toBe('r1');
    });

    it('is like new when it was never tried nor settled', () => {
      const fresh = deliveryOf({ status: { phase: 'Pending' }, spec: { hook: filtered } });
      expect(decideStep(fresh, { ...deps, filter: () => false }).do).toBe('settle');
    });
  });

  it('settles a redelivered invalid hook again, instead of looking at it for ever', () => {
    const asked = deliveryOf({
      metadata: { annotations: { [redeliverAnnotation]: 'r1' } },
      spec: { hook: { name: 'x' } },
    });
    const step = decideStep(asked, deps);
    if (step.do !== 'settle') throw new Error('must settle');
    expect(settledStatus(asked, step, nowMs)).toMatchObject({ phase: 'Failed', redelivered: 'r1' });
  });
});
