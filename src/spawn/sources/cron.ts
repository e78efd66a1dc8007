import { Cron } from 'croner';
import { toError } from '../../base/errors.ts';
import { rfc3339 } from '../../base/text.ts';
import { type DueItems, type ScheduledSource, SpawnerConfigError } from '../source.ts';
import type { WorkItem } from '../work-item.ts';

/** What one field may hold in a Kubernetes CronJob. Croner would also take `L`, `W`, `#` and `+`. */
const fieldPattern =
  /^(?:[\d*?,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+$/i;

/**
 * The source `cron`: one work item for each tick of a schedule of five fields, in UTC.
 * @throws SpawnerConfigError when the schedule is not one.
 */
export function cronSource(spec: { readonly schedule: string }): ScheduledSource {
  const { schedule } = spec;
  const cron = parseSchedule(schedule);
  const next = (afterMs: number): number | undefined => cron.nextRun(new Date(afterMs))?.getTime();
  return {
    kind: 'schedule',
    next,
    due: (afterMs, nowMs, limit) => due(next, schedule, { afterMs, nowMs, limit }),
  };
}

function due(
  next: (afterMs: number) => number | undefined,
  schedule: string,
  window: { readonly afterMs: number; readonly nowMs: number; readonly limit: number },
): DueItems {
  const items: WorkItem[] = [];
  let throughMs = window.afterMs;
  for (let tick = next(throughMs); tick !== undefined && tick <= window.nowMs; tick = next(throughMs)) {
    if (items.length === window.limit) return { items, throughMs, more: true };
    items.push(tickItem(tick, schedule));
    throughMs = tick;
  }
  return { items, throughMs, more: false };
}

function parseSchedule(schedule: string): Cron {
  const refuse = (why: string, cause?: Error): SpawnerConfigError =>
    new SpawnerConfigError(
      'SourceInvalid',
      {
        path: 'spec.when.cron.schedule',
        message: `${JSON.stringify(schedule)}: ${why}; write five fields: minute hour day-of-month month day-of-week`,
      },
      { cause },
    );
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== 5) throw refuse(`it has ${fields.length} field(s) instead of five`);
  const bad = fields.find((field) => !fieldPattern.test(field));
  if (bad !== undefined) throw refuse(`${JSON.stringify(bad)} is not understood`);
  try {
    return new Cron(fields.join(' '), {
      mode: '5-part',
      sloppyRanges: true,
      timezone: 'UTC',
      paused: true,
    });
  } catch (thrown) {
    const cause = toError(thrown);
    throw refuse(cause.message.replace(/^CronPattern: /, ''), cause);
  }
}

function tickItem(tickMs: number, schedule: string): WorkItem {
  const time = rfc3339(tickMs);
  const id = `${time.slice(0, 10).replaceAll('-', '')}-${time.slice(11, 16).replace(':', '')}`;
  return {
    name: { kind: 'id', id },
    variables: {
      ID: id,
      Number: 0n,
      Title: time,
      Body: '',
      URL: '',
      Labels: '',
      Comments: '',
      Kind: 'Issue',
      Branch: '',
      ReviewState: '',
      ReviewComments: '',
      Time: time,
      Schedule: schedule,
    },
  };
}
