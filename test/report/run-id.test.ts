import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deliveryId,
  deliveryName,
  formatRun,
  isSameRun,
  mayBeAnotherRun,
  parseRun,
  type Run,
  runOf,
} from '../../src/report/run-id.ts';
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

  it('differs by startTime where there is no completionTime, and only there', () => {
    const bare = { ...run, completionTime: undefined };
    const later = '2026-01-02T03:10:00.000Z';
    const ids = [
      deliveryId(bare, 'oncall'),
      deliveryId({ ...bare, startTime: undefined }, 'oncall'),
      deliveryId({ ...bare, startTime: later }, 'oncall'),
      deliveryId({ ...bare, completionTime: later, startTime: undefined }, 'oncall'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(deliveryId({ ...run, startTime: later }, 'oncall')).toBe(deliveryId(run, 'oncall'));
  });

  it('does not change from one version of Telos to the next', () => {
    expect(deliveryId(run, 'oncall')).toBe('msg_3opihh77u47nkfazaddj7zhayn');
  });
});

const time = fc.option(
  fc
    .date({ min: new Date('1971-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  { nil: undefined },
);
const anyRun: fc.Arbitrary<Run> = fc.record({
  uid: fc.uuid(),
  phase: fc.constantFrom('Succeeded' as const, 'Failed' as const),
  completionTime: time,
  startTime: time,
});
const hookName = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);

describe('any run', () => {
  it('has one webhook-id for each hook, which stands in its name, and no dot in it', () => {
    fc.assert(
      fc.property(anyRun, hookName, (any, hook) => {
        const id = deliveryId(any, hook);
        expect(id).toMatch(/^msg_[a-z0-9]{26}$/);
        expect(deliveryId({ ...any }, hook)).toBe(id);
        expect(deliveryName(id)).toBe(id.replace('msg_', 'msg-'));
        // When it started is no part of it where it is known when it ended: a Task of Kelos may say that late.
        const ended = { ...any, completionTime: any.completionTime ?? '2026-01-02T03:04:05.000Z' };
        expect(deliveryId({ ...ended, startTime: undefined }, hook)).toBe(deliveryId(ended, hook));
      }),
    );
  });

  it('shares its webhook-ids with no other, nor one hook with another', () => {
    fc.assert(
      fc.property(anyRun, anyRun, hookName, hookName, (a, b, one, two) => {
        const when = (each: Run): string => each.completionTime ?? `since ${each.startTime}`;
        const same = a.uid === b.uid && a.phase === b.phase && when(a) === when(b) && one === two;
        expect(deliveryId(a, one) === deliveryId(b, two)).toBe(same);
      }),
    );
  });

  it('reads back from its annotation as it was written, and is the same as itself', () => {
    fc.assert(
      fc.property(anyRun, (any) => {
        const read = parseRun(formatRun(any));
        expect(read).toEqual(any);
        expect(read !== undefined && isSameRun(read, any)).toBe(true);
      }),
    );
  });

  it('is the same when only its completionTime was rewritten, and another when it started anew', () => {
    fc.assert(
      fc.property(anyRun, time, time, (any, completionTime, startTime) => {
        expect(isSameRun(any, { ...any, completionTime })).toBe(true);
        const another = { ...any, completionTime, startTime };
        const endTells = completionTime === undefined || completionTime !== any.completionTime;
        const isNew = endTells && startTime !== undefined && startTime !== any.startTime;
        expect(isSameRun(any, another)).toBe(!isNew);
      }),
    );
  });
});

describe('a run that is taken for the recorded one', () => {
  const recorded = { ...run, startTime: undefined };
  const ended = (completionTime: string | undefined): Run => ({ ...recorded, completionTime });

  it('may be another when nothing says when it started and its times changed by more than a look again', () => {
    for (const time of ['2026-01-02T03:06:00.000Z', '2026-01-02T03:04:00.000Z', undefined])
      expect(mayBeAnotherRun(recorded, ended(time))).toBe(true);
    expect(mayBeAnotherRun(ended(undefined), recorded)).toBe(true);
    expect(mayBeAnotherRun(run, recorded)).toBe(true);
  });

  it('is the same beyond doubt when its times stand, moved a little, or it has the start it had', () => {
    expect(mayBeAnotherRun(recorded, recorded)).toBe(false);
    expect(mayBeAnotherRun(ended(undefined), ended(undefined))).toBe(false);
    expect(mayBeAnotherRun(recorded, ended('2026-01-02T03:04:35.000Z'))).toBe(false);
    expect(mayBeAnotherRun(run, { ...run, completionTime: '2026-01-02T04:00:00.000Z' })).toBe(false);
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
