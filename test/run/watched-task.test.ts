import { expect, test } from 'vitest';
import { runFinalizer } from '../../src/api/names.ts';
import { watchedTask } from '../../src/run/watched-task.ts';
import { taskOf } from './fixtures.ts';

const ended = { phase: 'Succeeded', completionTime: '2026-01-02T03:59:00Z' } as const;

test('nothing is kept of a Task that has ended and stays, however many there are', () => {
  const task = taskOf('t', {}, 'u');
  const stored = { ...task, metadata: { ...task.metadata, finalizers: [runFinalizer] }, status: ended };
  expect(watchedTask(stored)).toBeUndefined();
});

test('of a Task that is to be deleted later little more than the time is kept', () => {
  const task = { ...taskOf('t', { ttlSecondsAfterFinished: 60 }, 'u'), status: ended };
  expect(watchedTask(task)).toEqual({
    kind: 'expiring',
    uid: 'u',
    dueMs: Date.parse('2026-01-02T04:00:00Z'),
  });
});

test('Tasks of one branch share a key, unless their lock is off', () => {
  const keyOf = (spec: object) => {
    const watched = watchedTask(taskOf('t', spec, 'u'));
    return watched?.kind === 'active' ? watched.branchKey : undefined;
  };
  expect(keyOf({ branch: 'x' })).toBe('default/:x');
  expect(keyOf({ branch: 'x', workspaceRef: { name: 'w' } })).toBe('default/w:x');
  expect(keyOf({ branch: 'x', branchLock: 'None' })).toBeUndefined();
  expect(keyOf({})).toBeUndefined();
});
