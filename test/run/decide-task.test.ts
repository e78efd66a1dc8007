import { describe, expect, test } from 'vitest';
import {
  onCompletionAnnotation,
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  runFinalizer,
  skipCompletionAnnotation,
} from '../../src/api/names.ts';
import type { TaskStatus } from '../../src/api/task.ts';
import { decideTask, type RunFact, type TaskFacts, type TaskStep } from '../../src/run/decide-task.ts';
import type { RunOutcome, RunRecord } from '../../src/run/runner.ts';
import { taskOf } from './fixtures.ts';

const nowMs = Date.parse('2026-01-02T04:00:00Z');
const none: RunFact = { kind: 'none' };
const unknown: RunFact = { kind: 'unknown' };
const running: RunFact = { kind: 'running', progress: { startedAt: 5000 } };

function record(outcome: RunOutcome, more: Partial<RunRecord> = {}): RunFact {
  const nothing = { outputs: [], results: {}, outputsLeftOut: 0, lastLine: '', cancelled: false };
  return { kind: 'ended', record: { outcome, startedAt: 5000, finishedAt: 9000, ...nothing, ...more } };
}

interface Given {
  readonly status?: TaskStatus;
  readonly run?: RunFact;
  readonly deleting?: boolean;
  readonly finalizers?: string[];
  readonly annotations?: Record<string, string>;
  readonly spec?: Parameters<typeof taskOf>[1];
  readonly dependencies?: TaskFacts['dependencies'];
  readonly cycle?: string;
  readonly goesWithTask?: boolean;
}

function decide(given: Given): TaskStep {
  const task = taskOf('t', given.spec ?? {}, 'u');
  const { deleting, finalizers, annotations } = given;
  return decideTask({
    task: {
      ...task,
      metadata: {
        ...task.metadata,
        ...(finalizers === undefined ? {} : { finalizers }),
        ...(annotations === undefined ? {} : { annotations }),
        ...(deleting ? { deletionTimestamp: '2026-01-02T03:59:00Z' } : {}),
      },
      ...(given.status === undefined ? {} : { status: given.status }),
    },
    run: given.run ?? none,
    goesWithTask: given.goesWithTask ?? false,
    dependencies: given.dependencies ?? { kind: 'met', deps: {} },
    cycle: given.cycle,
    nowMs,
  });
}

const ended = { phase: 'Succeeded', completionTime: '2026-01-02T03:59:00Z' } as const;
const exit0: RunOutcome = { kind: 'exited', code: 0 };

describe('the next step', () => {
  test.each<[string, Given, string]>([
    ['a new Task is started', {}, 'start'],
    [
      'a Pending Task of which nothing ran is started',
      { status: { phase: 'Pending' }, finalizers: [runFinalizer] },
      'start',
    ],
    ['a Pending Task that runs is marked', { status: { phase: 'Pending' }, run: running }, 'markUnderWay'],
    ['a Running Task that runs needs nothing', { status: { phase: 'Running' }, run: running }, 'nothing'],
    ['a run that ended finishes its Task, whatever the phase', { run: record(exit0) }, 'finish'],
    ['a Running Task without a run is finished', { status: { phase: 'Running' } }, 'finish'],
    ['a suspended Task waits', { spec: { suspend: true } }, 'wait'],
    [
      'a Task that runs goes on when it is suspended',
      { spec: { suspend: true }, status: { phase: 'Running' }, run: running },
      'nothing',
    ],
    ['unmet dependencies are waited for', { dependencies: { kind: 'waiting', message: 'm' } }, 'wait'],
    ['a failed dependency finishes', { dependencies: { kind: 'failed', message: 'm' } }, 'finish'],
    ['a circle finishes', { cycle: 'x' }, 'finish'],
    ['an ended Task is never run again', { status: ended }, 'nothing'],
    ['an ended Task is never finished twice', { status: ended, run: record(exit0) }, 'nothing'],
    [
      'a deleted Task that runs is stopped',
      { deleting: true, status: { phase: 'Running' }, run: running, finalizers: [runFinalizer] },
      'cancel',
    ],
    [
      'a deleted Task whose run is over is finished first',
      { deleting: true, status: { phase: 'Running' }, run: record(exit0), finalizers: [runFinalizer] },
      'finish',
    ],
    [
      'a deleted Task that ended is let go',
      { deleting: true, status: ended, finalizers: [runFinalizer] },
      'letGo',
    ],
    ['a deleted Task that never ran is let go', { deleting: true, finalizers: [runFinalizer] }, 'letGo'],
    [
      'a deleted Task that we do not hold needs nothing',
      { deleting: true, finalizers: [onCompletionFinalizer] },
      'nothing',
    ],
    ['a deleted Task is not started', { deleting: true, dependencies: { kind: 'met', deps: {} } }, 'nothing'],
  ])('%s', (_title, given, step) => {
    expect(decide(given).do).toBe(step);
  });
});

describe('a Task whose run goes with it', () => {
  const goesWithTask = true;
  const finalizers = [runFinalizer];
  const annotations = { [skipCompletionAnnotation]: 'true' };
  const deleting = true;
  const expired = { ttlSecondsAfterFinished: 60 };

  test.each<[string, Given, string]>([
    ['that has ended is let go', { status: ended, finalizers }, 'letGo'],
    ['is let go before it is deleted', { status: ended, finalizers, spec: expired }, 'letGo'],
    [
      'is left alone until its run is known',
      { deleting, finalizers, status: ended, run: unknown },
      'nothing',
    ],
    [
      'is not taken for lost until its run is known',
      { status: { phase: 'Running' }, run: unknown },
      'nothing',
    ],
    ['is deleted when it is held no more', { status: ended, spec: expired }, 'delete'],
    [
      'that somebody says has ended is held while it runs',
      { status: ended, finalizers, run: running },
      'nothing',
    ],
    [
      'is not let go beside the write that its hooks will make',
      { status: ended, finalizers: [onCompletionFinalizer, runFinalizer] },
      'nothing',
    ],
    [
      'is held until its run is over',
      { deleting, finalizers, status: { phase: 'Running' }, run: running },
      'cancel',
    ],
    [
      'is given up when an operator says so',
      { deleting, annotations, finalizers, status: { phase: 'Running' }, run: running },
      'giveUp',
    ],
    ['is given up also when it has ended', { deleting, annotations, finalizers, status: ended }, 'giveUp'],
    [
      'is not given up while nobody deletes it',
      { annotations, finalizers, status: { phase: 'Running' }, run: running },
      'nothing',
    ],
    [
      'is given up once',
      {
        deleting,
        annotations,
        finalizers: [onCompletionFinalizer],
        status: { phase: 'Running' },
        run: running,
      },
      'cancel',
    ],
  ])('%s', (_title, given, step) => {
    expect(decide({ goesWithTask, ...given }).do).toBe(step);
  });

  test('is not given up where its program would stay behind', () => {
    const given = { deleting, annotations, finalizers, status: { phase: 'Running' }, run: running } as const;
    expect(decide(given).do).toBe('cancel');
  });
});

describe('a run that waits for a machine', () => {
  const scheduled = { startedAt: undefined, jobName: 'j', podName: 'p', heldUp: 'no node' };
  const under = (progress: object): RunFact => ({
    kind: 'running',
    progress: { startedAt: undefined, ...progress },
  });

  test.each<[string, TaskStatus, object, string]>([
    [
      'that is told already needs nothing',
      { phase: 'Pending', jobName: 'j', podName: 'p', message: 'no node' },
      scheduled,
      'nothing',
    ],
    ['whose Job is made is told', { phase: 'Pending' }, { jobName: 'j' }, 'markUnderWay'],
    [
      'that has a Pod is told',
      { phase: 'Pending', jobName: 'j' },
      { jobName: 'j', podName: 'p' },
      'markUnderWay',
    ],
    [
      'that is held up is told',
      { phase: 'Pending', jobName: 'j' },
      { jobName: 'j', heldUp: 'm' },
      'markUnderWay',
    ],
    [
      'that is held up no more is told',
      { phase: 'Pending', jobName: 'j', message: 'm' },
      { jobName: 'j' },
      'markUnderWay',
    ],
    [
      'whose program has begun is told',
      { phase: 'Pending', jobName: 'j' },
      { jobName: 'j', startedAt: 1 },
      'markUnderWay',
    ],
    [
      'of a second Pod leaves its Task Running',
      { phase: 'Running', jobName: 'j', podName: 'p' },
      { jobName: 'j', podName: 'p' },
      'nothing',
    ],
  ])('%s', (_title, status, progress, step) => {
    expect(decide({ status, run: under(progress) }).do).toBe(step);
  });

  test('is lost, and not begun anew, when its Job is gone', () => {
    const status: TaskStatus = { phase: 'Pending', jobName: 'j' };
    const message = 'Task failed: its Job "j" is gone (was it deleted?); create it again';
    expect(decide({ status })).toMatchObject({ do: 'finish', completion: { phase: 'Failed', message } });
    expect(decide({ status, deleting: true })).toMatchObject({
      completion: { message: 'Task was deleted while running' },
    });
  });
});

describe('the time to live', () => {
  const spec = { ttlSecondsAfterFinished: 90 };
  test.each<[string, Given, TaskStep]>([
    ['is waited for', { spec, status: ended }, { do: 'lookAgain', afterMs: 30_000 }],
    ['ends in deletion', { spec: { ttlSecondsAfterFinished: 60 }, status: ended }, { do: 'delete' }],
    ['does not count without a completionTime', { spec, status: { phase: 'Failed' } }, { do: 'nothing' }],
    [
      'does not count while hooks are not recorded',
      { spec, status: ended, finalizers: [onCompletionFinalizer] },
      { do: 'nothing' },
    ],
    [
      'does not count before anybody has seen the hooks',
      { spec, status: ended, annotations: { [onCompletionAnnotation]: '[]' } },
      { do: 'nothing' },
    ],
    [
      'counts once they are recorded',
      {
        spec,
        status: ended,
        annotations: { [onCompletionAnnotation]: '[]', [reportedPhaseAnnotation]: 'Succeeded' },
      },
      { do: 'lookAgain', afterMs: 30_000 },
    ],
  ])('%s', (_title, given, step) => {
    expect(decide(given)).toEqual(step);
  });
});

describe('how a run ended', () => {
  test.each<[string, RunFact, boolean, string, string]>([
    ['exit 0', record(exit0), false, 'Succeeded', 'Task completed successfully'],
    [
      'exit 3',
      record({ kind: 'exited', code: 3 }),
      false,
      'Failed',
      'Task failed: program exited with status 3',
    ],
    [
      'last words',
      record({ kind: 'exited', code: 1 }, { lastLine: 'no' }),
      false,
      'Failed',
      'Task failed: program exited with status 1: no',
    ],
    [
      'a signal',
      record({ kind: 'signaled', signal: 'SIGKILL' }),
      false,
      'Failed',
      'Task failed: program was killed by SIGKILL',
    ],
    [
      'the deadline',
      record({ kind: 'deadline' }),
      false,
      'Failed',
      'Task failed: program ran longer than its activeDeadlineSeconds and was stopped',
    ],
    ['not started', record({ kind: 'notStarted', message: 'why' }), false, 'Failed', 'Task failed: why'],
    ['lost', record({ kind: 'lost', message: 'why' }), false, 'Failed', 'Task failed: why'],
    [
      'stopped by deletion',
      record(exit0, { cancelled: true }),
      true,
      'Failed',
      'Task was deleted while running',
    ],
    ['ended just before deletion', record(exit0), true, 'Succeeded', 'Task completed successfully'],
  ])('%s', (_title, run, deleting, phase, message) => {
    expect(decide({ run, deleting, status: { phase: 'Running' }, finalizers: [runFinalizer] })).toMatchObject(
      {
        do: 'finish',
        completion: { phase, message },
      },
    );
  });
});
