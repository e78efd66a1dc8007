import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import type { JobState } from '../../../src/run/job/job-state.ts';
import { newestRefusals } from '../../../src/run/job/pod-refusals.ts';
import { PodlessJobs } from '../../../src/run/job/podless-jobs.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const jobOf = (namespace: string, name: string): JobState => ({
  namespace,
  name,
  uid: `uid-${name}`,
  taskUid: `task-${name}`,
  createdAt: 0,
  end: undefined,
  secrets: [],
  hidden: [],
});

describe('Jobs without Pods', () => {
  let clock: ManualClock;
  let podless: JobState[];
  let asked: string[];
  let told: string[];
  let answer: () => Promise<ReadonlyMap<string, string>>;
  let ending: AbortController;
  let looking: Promise<void>;

  beforeEach(() => {
    clock = new ManualClock();
    [podless, asked, told] = [[], [], []];
    answer = async () => new Map([['uid-a', 'no room']]);
    ending = new AbortController();
    const podRefusals = (namespace: string): Promise<ReadonlyMap<string, string>> => {
      asked.push(namespace);
      return answer();
    };
    looking = new PodlessJobs({
      api: { podRefusals },
      clock,
      log: silentLogger,
      podless: () => podless,
      tell: (job, words) => told.push(`${job.name}: ${words}`),
    }).look(ending.signal);
  });
  afterEach(async () => {
    ending.abort();
    await looking;
  });

  /** So many looks. */
  async function looks(count: number): Promise<void> {
    for (let look = 0; look < count; look += 1) {
      clock.advance(5_000);
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('are asked about when they lack them at two looks, once for each namespace', async () => {
    podless = [jobOf('n', 'a'), jobOf('n', 'b'), jobOf('m', 'c')];
    await looks(1);
    expect(asked).toEqual([]);
    await looks(1);
    expect({ asked, told }).toEqual({ asked: ['n', 'm'], told: ['a: no room'] });
  });

  test('that get theirs in time cost nothing', async () => {
    for (let job = 0; job < 10; job += 1) {
      podless = [jobOf('n', `a${job}`)];
      await looks(1);
    }
    expect(asked).toEqual([]);
  });

  test('are asked about less and less often, and at once again when new trouble comes', async () => {
    podless = [jobOf('n', 'a')];
    await looks(1 + 60);
    // After 5 s, 10 s, 20 s, 40 s, then each minute.
    expect(asked).toHaveLength(8);
    podless = [];
    await looks(1);
    podless = [jobOf('n', 'b')];
    await looks(2);
    expect(asked).toHaveLength(9);
  });

  test('are asked about again when the API server did not answer', async () => {
    podless = [jobOf('n', 'a')];
    answer = () => Promise.reject(new Error('away'));
    await looks(2);
    expect(told).toEqual([]);
    answer = async () => new Map([['uid-a', 'no room']]);
    await looks(1);
    expect(told).toEqual(['a: no room']);
  });
});

test('the newest words about each Job count, without the names of the Pods that were tried', () => {
  const event = (
    uid: string,
    message: string,
    lastTimestamp: string | null,
    eventTime: string | null = null,
  ) => ({
    metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
    involvedObject: { uid },
    message,
    lastTimestamp,
    eventTime,
  });
  const refusals = newestRefusals([
    event('a', 'Error creating: pods "a-x1" is forbidden: exceeded quota: few', '2026-01-01T00:00:09Z'),
    event('a', 'Error creating: pods "a-x0" is forbidden: old', '2026-01-01T00:00:08Z'),
    event('b', 'Error creating: Internal error: webhook', null, '2026-01-01T00:00:03.000000Z'),
    { nothing: 'of the kind' },
  ]);
  expect([...refusals]).toEqual([
    ['a', 'exceeded quota: few'],
    ['b', 'Internal error: webhook'],
  ]);
});
