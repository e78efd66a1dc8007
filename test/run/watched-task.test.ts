import { expect, test } from 'vitest';
import { onCompletionFinalizer, runFinalizer } from '../../src/api/names.ts';
import { watchedTask } from '../../src/run/watched-task.ts';
import { taskOf } from './fixtures.ts';

const ended = { phase: 'Succeeded', completionTime: '2026-01-02T03:59:00Z' } as const;

function endedWith(finalizers: string[], spec: object = {}) {
  const task = taskOf('t', spec, 'u');
  return { ...task, metadata: { ...task.metadata, finalizers }, status: ended };
}

test('nothing is kept of a Task that has ended and stays, however many there are', () => {
  expect(watchedTask(endedWith([runFinalizer]), false)).toBeUndefined();
  expect(watchedTask(endedWith([]), true)).toBeUndefined();
});

test('a Task that has ended is let go where its run goes with it, before its time to live counts', () => {
  const spec = { ttlSecondsAfterFinished: 60 };
  expect(watchedTask(endedWith([runFinalizer], spec), true)).toEqual({ kind: 'ended', uid: 'u' });
});

test('a Task that has ended is let go only after its hooks are recorded: that is a write already', () => {
  expect(watchedTask(endedWith([onCompletionFinalizer, runFinalizer]), true)).toBeUndefined();
});

test('of a Task that is to be deleted later little more than the time is kept', () => {
  const task = { ...taskOf('t', { ttlSecondsAfterFinished: 60 }, 'u'), status: ended };
  expect(watchedTask(task, true)).toEqual({
    kind: 'expiring',
    uid: 'u',
    dueMs: Date.parse('2026-01-02T04:00:00Z'),
  });
});

test('Tasks of one branch share a key, unless their lock is off', () => {
  const keyOf = (spec: object) => {
    const watched = watchedTask(taskOf('t', spec, 'u'), false);
    return watched?.kind === 'active' ? watched.branchKey : undefined;
  };
  expect(keyOf({ branch: 'x' })).toBe('default/:x');
  expect(keyOf({ branch: 'x', workspaceRef: { name: 'w' } })).toBe('default/w:x');
  expect(keyOf({ branch: 'x', branchLock: 'None' })).toBeUndefined();
  expect(keyOf({})).toBeUndefined();
});
