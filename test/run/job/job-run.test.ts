import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import { JobRun, type JobRunOptions } from '../../../src/run/job/job-run.ts';
import type { JobState, PodState } from '../../../src/run/job/job-state.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ended } from '../fixtures.ts';

const job: JobState = {
  namespace: 'n',
  name: 'a',
  uid: 'job',
  taskUid: 'task',
  createdAt: 1000,
  end: undefined,
  secrets: [],
  hidden: [],
};
const complete: JobState = { ...job, end: { succeeded: true, reason: '', message: '', at: 9000 } };
const deadline: JobState = {
  ...job,
  end: { succeeded: false, reason: 'DeadlineExceeded', message: '', at: 9000 },
};
const terminated = { exitCode: 0, reason: 'Completed', message: '', finishedAt: 5000 };
const donePod: PodState = {
  name: 'a-1',
  uid: 'pod',
  jobUid: 'job',
  taskUid: 'task',
  createdAt: 1000,
  phase: 'Running',
  reason: '',
  message: '',
  unschedulable: undefined,
  disruption: undefined,
  agent: { name: 'kelos-agent', image: 'i', waiting: undefined, startedAt: 2000, terminated },
  others: [],
};
const log = '---KELOS_OUTPUTS_START---\na: 1\n---KELOS_OUTPUTS_END---\n';

function runOf(readTail: JobRunOptions['readTail'], clock: ManualClock, first: JobState = job): JobRun {
  const signal = new AbortController().signal;
  return new JobRun({ clock, log: silentLogger, remove: async () => {}, readTail, signal }, first, []);
}

/** Moves the clock to each timer as it is set, until the promise is settled. */
async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  while (!settled) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!settled && clock.nextTimerMs !== undefined) clock.advance(clock.nextTimerMs);
  }
  return promise;
}

describe('the log of a run', () => {
  test('is read when its program has ended, once, before anybody takes the Pod away', async () => {
    const reads: string[] = [];
    const run = runOf(async (_job, pod) => {
      reads.push(pod.name);
      return log;
    }, new ManualClock());
    const record = ended(run);
    run.update(undefined, [donePod]);
    expect(reads).toEqual(['a-1']);
    run.update(deadline, [donePod]);
    expect(await record).toMatchObject({ outcome: { kind: 'deadline' }, outputs: ['a: 1'], podName: 'a-1' });
    expect(reads).toEqual(['a-1']);
  });

  test('is asked for again when its node does not answer', async () => {
    const clock = new ManualClock();
    let reads = 0;
    const run = runOf(async () => {
      reads += 1;
      if (reads < 4) throw new Error('no answer');
      return log;
    }, clock);
    run.update(complete, [donePod]);
    const record = await passing(clock, ended(run));
    expect(record).toMatchObject({ outcome: { kind: 'exited', code: 0 }, results: { a: '1' } });
    expect(record.outputsFault).toBeUndefined();
  });

  test('is done without when that takes too long, and the record says why', async () => {
    const clock = new ManualClock();
    const begun = clock.now();
    const run = runOf(async () => {
      throw new Error('no answer');
    }, clock);
    run.update(complete, [donePod]);
    const record = await passing(clock, ended(run));
    expect(record).toMatchObject({
      outcome: { kind: 'exited', code: 0 },
      outputs: [],
      outputsFault: 'no answer',
    });
    expect(clock.now() - begun).toBe(30_000);
  });

  test('is not read when nobody waits for the end', () => {
    const run = runOf(() => Promise.reject(new Error('it was read')), new ManualClock(), complete);
    expect(run.isOver).toBe(true);
  });
});

describe('progress', () => {
  test('is told when it changes, and only then', () => {
    const run = runOf(async () => '', new ManualClock());
    const told: unknown[] = [];
    run.onProgress(() => told.push(run.progress));
    const { agent, ...pod } = donePod;
    const pending: PodState = { ...pod, agent: undefined, phase: 'Pending' };
    run.update(undefined, [pending]);
    run.update(job, [pending]);
    run.update(undefined, [donePod]);
    expect(agent).toBeDefined();
    expect(told).toMatchObject([
      { jobName: 'a', podName: 'a-1', startedAt: undefined },
      { jobName: 'a', podName: 'a-1', startedAt: 2000 },
    ]);
  });
});
