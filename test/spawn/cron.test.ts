import { describe, expect, test } from 'vitest';
import { SpawnerConfigError } from '../../src/spawn/source.ts';
import { cronSource } from '../../src/spawn/sources/cron.ts';

const ms = (time: string): number => Date.parse(time);

describe('a schedule', () => {
  test('gives every tick after one time up to and with another, in UTC', () => {
    const source = cronSource({ schedule: '*/10 * * * *' });
    const due = source.due(ms('2026-01-02T03:00:00Z'), ms('2026-01-02T03:30:00Z'), 100);
    expect(due.items.map((item) => item.name)).toEqual([
      { kind: 'id', id: '20260102-0310' },
      { kind: 'id', id: '20260102-0320' },
      { kind: 'id', id: '20260102-0330' },
    ]);
    expect(due).toMatchObject({ throughMs: ms('2026-01-02T03:30:00Z'), more: false });
  });

  test('gives at most the limit, and goes on from there', () => {
    const source = cronSource({ schedule: '* * * * *' });
    const now = ms('2026-01-02T00:05:00Z');
    const first = source.due(ms('2026-01-02T00:00:00Z'), now, 3);
    expect(first.items).toHaveLength(3);
    expect(first.more).toBe(true);
    const second = source.due(first.throughMs, now, 3);
    expect(second.items.map((item) => item.variables['Time'])).toEqual([
      '2026-01-02T00:04:00Z',
      '2026-01-02T00:05:00Z',
    ]);
    expect(second.more).toBe(false);
  });

  test('gives nothing when the clock went back', () => {
    const source = cronSource({ schedule: '* * * * *' });
    expect(source.due(ms('2026-01-02T01:00:00Z'), ms('2026-01-02T00:00:00Z'), 10).items).toEqual([]);
  });

  test('that never comes round has no next tick', () => {
    expect(cronSource({ schedule: '0 0 31 2 *' }).next(ms('2026-01-01T00:00:00Z'))).toBeUndefined();
  });

  test('takes a start with a step, as a CronJob does', () => {
    expect(cronSource({ schedule: '5/15 * * * *' }).next(ms('2026-01-02T00:05:00Z'))).toBe(
      ms('2026-01-02T00:20:00Z'),
    );
  });

  test('gives a tick every variable that templates of work items may use', () => {
    const source = cronSource({ schedule: '0 9 * * MON' });
    const { items } = source.due(ms('2026-01-04T00:00:00Z'), ms('2026-01-05T09:00:00Z'), 10);
    expect(items[0]?.variables).toEqual({
      ID: '20260105-0900',
      Number: 0n,
      Title: '2026-01-05T09:00:00Z',
      Body: '',
      URL: '',
      Labels: '',
      Comments: '',
      Kind: 'Issue',
      Branch: '',
      ReviewState: '',
      ReviewComments: '',
      Time: '2026-01-05T09:00:00Z',
      Schedule: '0 9 * * MON',
    });
  });

  test.each([
    '* * * *',
    '0 * * * * *',
    '@daily',
    '0 0 L * *',
    '0 0 15W * *',
    '0 0 * * MON#2',
    '0 0 1 * +MON',
    '61 * * * *',
    'TZ=UTC 0 0 * * *',
    'CRON_TZ=UTC 0 * * *',
    '2026-01-01T00:00:00Z',
    'every hour on the hour!',
  ])('refuses %s and says how to write one', (schedule) => {
    expect(() => cronSource({ schedule })).toThrow(SpawnerConfigError);
    expect(() => cronSource({ schedule })).toThrow(/spec\.when\.cron\.schedule: .*write five fields/);
  });
});
