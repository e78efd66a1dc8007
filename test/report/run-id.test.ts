import { describe, expect, it } from 'vitest';
import { deliveryId, deliveryName, formatRun, parseRun, runOf } from '../../src/report/run-id.ts';
import { taskOf } from './fixtures.ts';

const run = runOf(
  taskOf({ status: { completionTime: '2026-01-02T03:04:05Z', startTime: '2026-01-02T03:00:00Z' } }),
  'Failed',
);

describe('the webhook-id', () => {
  it('is msg_ and 26 characters, and the same however the time is written', () => {
    const elsewhere = runOf(taskOf({ status: { completionTime: '2026-01-02T05:04:05+02:00' } }), 'Failed');
    expect(deliveryId(run, 'oncall')).toMatch(/^msg_[a-z0-9]{26}$/);
    expect(deliveryId(elsewhere, 'oncall')).toBe(deliveryId(run, 'oncall'));
    expect(deliveryName(deliveryId(run, 'oncall'))).toMatch(/^msg-[a-z0-9]{26}$/);
  });

  it('differs by hook, Task, phase and completionTime', () => {
    const ids = [
      deliveryId(run, 'oncall'),
      deliveryId(run, 'chat'),
      deliveryId({ ...run, uid: 'other' }, 'oncall'),
      deliveryId({ ...run, phase: 'Succeeded' }, 'oncall'),
      deliveryId({ ...run, completionTime: '2026-01-02T03:04:06.000Z' }, 'oncall'),
      deliveryId({ ...run, completionTime: undefined }, 'oncall'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('does not change from one version of Telos to the next', () => {
    expect(deliveryId(run, 'oncall')).toBe('msg_3opihh77u47nkfazaddj7zhayn');
  });
});

describe('the run annotation', () => {
  it('reads back as it was written', () => {
    expect(parseRun(formatRun(run))).toEqual(run);
    const bare = { ...run, completionTime: undefined, startTime: undefined };
    expect(parseRun(formatRun(bare))).toEqual(bare);
  });

  it('takes no other text', () => {
    for (const text of ['', 'Failed', 'Running - - uid', 'Failed - - uid more'])
      expect(parseRun(text)).toBeUndefined();
  });
});
