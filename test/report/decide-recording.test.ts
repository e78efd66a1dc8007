import { describe, expect, it } from 'vitest';
import {
  kelosFinalizer,
  onCompletionAnnotation,
  onCompletionFinalizer,
  outputsAwaitedAnnotation,
  reportedPhaseAnnotation,
  reportedRunAnnotation,
  runFinalizer,
  skipCompletionAnnotation,
} from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import { decideRecording, isExpired, outputsWaitMs } from '../../src/report/decide-recording.ts';
import { formatRun, runOf } from '../../src/report/run-id.ts';
import { taskOf } from './fixtures.ts';

const hooks = { [onCompletionAnnotation]: '[]' };
const ended = { startTime: '2026-01-02T03:00:00Z', completionTime: '2026-01-02T03:04:05Z' };
const failed = { phase: 'Failed', ...ended } as const;

interface Parts {
  readonly annotations?: Record<string, string>;
  readonly finalizers?: string[];
  readonly deleting?: boolean;
  readonly status?: Task['status'];
}

function task({ annotations = {}, finalizers, deleting = false, status }: Parts): Task {
  return taskOf({
    metadata: {
      annotations: { ...hooks, ...annotations },
      ...(finalizers === undefined ? {} : { finalizers }),
      ...(deleting ? { deletionTimestamp: '2026-01-02T03:04:05Z' } : {}),
    },
    ...(status === undefined ? {} : { status }),
  });
}

/** The marker of a run that ended as `status` says. */
function marker(status: Task['status'], phase: 'Succeeded' | 'Failed' = 'Failed'): Record<string, string> {
  return {
    [reportedPhaseAnnotation]: phase,
    [reportedRunAnnotation]: formatRun(runOf(taskOf({ status }), phase)),
  };
}

const held = [onCompletionFinalizer];
const stepOf = (parts: Parts): string => {
  const step = decideRecording(task(parts));
  return step.do === 'release' ? `release ${step.reason}` : step.do;
};

describe('a Task that has not ended', () => {
  it('is held, if it is not yet', () => {
    expect(stepOf({ status: { phase: 'Running' } })).toBe('hold');
    expect(stepOf({ status: { phase: 'Running' }, finalizers: held })).toBe('nothing');
    expect(stepOf({})).toBe('hold');
  });

  it('loses the marker of its earlier run when it runs again', () => {
    expect(stepOf({ status: { phase: 'Pending' }, annotations: marker(failed), finalizers: held })).toBe(
      'hold',
    );
  });

  it('is let go when it is being deleted and nobody runs it, but waits for who does', () => {
    expect(stepOf({ deleting: true, finalizers: held })).toBe('release NeverEnded');
    expect(stepOf({ deleting: true, finalizers: [...held, runFinalizer] })).toBe('nothing');
    expect(stepOf({ deleting: true, finalizers: ['other'] })).toBe('nothing');
  });

  it('is let go when an operator says so, or its hooks are taken away', () => {
    expect(stepOf({ annotations: { [skipCompletionAnnotation]: 'true' }, finalizers: held })).toBe(
      'release CompletionSkipped',
    );
    expect(stepOf({ annotations: { [skipCompletionAnnotation]: 'true' } })).toBe('nothing');
    const without = taskOf({ metadata: { finalizers: held } });
    expect(decideRecording(without)).toEqual({ do: 'release', reason: 'NoHooks' });
    expect(decideRecording(taskOf())).toEqual({ do: 'nothing' });
  });
});

describe('a Task that has ended', () => {
  it('is recorded, held or not, being deleted or not', () => {
    for (const deleting of [false, true])
      for (const finalizers of [held, ['other'], []])
        expect(stepOf({ status: failed, deleting, finalizers })).toBe('record');
  });

  it('is left alone when this run is recorded, and let go if it is still held', () => {
    expect(stepOf({ status: failed, annotations: marker(failed) })).toBe('nothing');
    expect(stepOf({ status: failed, annotations: marker(failed), finalizers: held })).toBe(
      'release Recorded',
    );
  });

  it('is believed to be reported when another reporter left the marker', () => {
    expect(stepOf({ status: failed, annotations: { [reportedPhaseAnnotation]: 'Failed' } })).toBe('nothing');
  });

  it('is recorded again when it ended in another phase since', () => {
    const succeeded = { ...failed, phase: 'Succeeded' } as const;
    expect(stepOf({ status: succeeded, annotations: marker(failed) })).toBe('record');
  });

  it('is recorded again when it started and ended anew while nobody looked', () => {
    const again = {
      phase: 'Failed',
      startTime: '2026-01-02T04:00:00Z',
      completionTime: '2026-01-02T04:01:00Z',
    } as const;
    expect(stepOf({ status: again, annotations: marker(failed) })).toBe('record');
  });

  it('is not recorded again when only its completionTime was rewritten', () => {
    const rewritten = { ...failed, completionTime: '2026-01-02T03:30:00Z' };
    expect(stepOf({ status: rewritten, annotations: marker(failed) })).toBe('nothing');
    const neverStarted = { phase: 'Failed', completionTime: '2026-01-02T03:04:05Z' } as const;
    const later = { ...neverStarted, completionTime: '2026-01-02T03:04:15Z' };
    expect(stepOf({ status: later, annotations: marker(neverStarted) })).toBe('nothing');
  });

  it('is recorded once when its completionTime is empty', () => {
    expect(stepOf({ status: { phase: 'Failed' } })).toBe('record');
    expect(stepOf({ status: { phase: 'Failed' }, annotations: marker({ phase: 'Failed' }) })).toBe('nothing');
  });

  it('is recorded again when it started anew and its completionTime is empty again', () => {
    const first = { phase: 'Failed', startTime: '2026-01-02T03:00:00Z' } as const;
    const again = { phase: 'Failed', startTime: '2026-01-02T04:00:00Z' } as const;
    expect(stepOf({ status: first, annotations: marker(first) })).toBe('nothing');
    expect(stepOf({ status: again, annotations: marker(first) })).toBe('record');
  });

  it('is not taken for recorded because another Task was, whose annotations it was made with', () => {
    const copied = marker(failed);
    copied[reportedRunAnnotation] = copied[reportedRunAnnotation]?.replace(/\S+$/, 'another-uid') ?? '';
    expect(stepOf({ status: failed, annotations: copied })).toBe('record');
  });
});

describe('the wait for outputs', () => {
  const now = Date.parse('2026-01-02T03:04:15Z');
  const kelos = [...held, kelosFinalizer];
  const wait = (parts: Parts): number => outputsWaitMs(task(parts), now, 35_000);

  it('is 35 s from completionTime for a Task of Kelos without outputs', () => {
    expect(wait({ finalizers: kelos, status: { ...failed, jobName: 'fix-7' } })).toBe(25_000);
  });

  it('is none once there are outputs, the time is over, or there was no Job', () => {
    expect(wait({ finalizers: kelos, status: { ...failed, jobName: 'j', outputs: ['branch: x'] } })).toBe(0);
    expect(
      wait({
        finalizers: kelos,
        status: { ...failed, jobName: 'j', completionTime: '2026-01-02T03:03:00Z' },
      }),
    ).toBe(0);
    expect(wait({ finalizers: kelos, status: failed })).toBe(0);
  });

  it('is counted from the moment it was noted when completionTime is empty, and whole before that', () => {
    const status = { phase: 'Failed', jobName: 'j' } as const;
    expect(wait({ finalizers: kelos, status })).toBe(35_000);
    const annotations = { [outputsAwaitedAnnotation]: '2026-01-02T03:04:00Z' };
    expect(wait({ finalizers: kelos, status, annotations })).toBe(20_000);
    expect(wait({ finalizers: kelos, status, annotations: { [outputsAwaitedAnnotation]: 'nonsense' } })).toBe(
      35_000,
    );
  });

  it('is none for Tasks that Telos runs, or that are being deleted', () => {
    expect(wait({ finalizers: [...held, runFinalizer], status: { ...failed, jobName: 'j' } })).toBe(0);
    expect(wait({ finalizers: kelos, deleting: true, status: { ...failed, jobName: 'j' } })).toBe(0);
  });

  it('is never longer than 35 s, whatever another clock wrote', () => {
    const ahead = { ...failed, jobName: 'j', completionTime: '2026-01-02T05:00:00Z' };
    expect(wait({ finalizers: kelos, status: ahead })).toBe(35_000);
  });
});

describe('a completion is too old to tell', () => {
  const day = 24 * 3_600_000;
  const now = Date.parse('2026-01-10T00:00:00Z');

  it('by its completionTime', () => {
    expect(isExpired(task({ status: failed }), now, day)).toBe(true);
    expect(isExpired(task({ status: { ...failed, completionTime: '2026-01-09T12:00:00Z' } }), now, day)).toBe(
      false,
    );
  });

  it('without one by the age of the Task', () => {
    expect(isExpired(task({ status: { phase: 'Failed' } }), now, day)).toBe(true);
  });

  it('never when the Task was held for us: it was seen before it ended', () => {
    expect(isExpired(task({ status: failed, finalizers: held }), now, day)).toBe(false);
    expect(isExpired(task({ status: { phase: 'Failed' }, finalizers: held }), now, day)).toBe(false);
  });
});
