import { expect, test } from 'vitest';
import { PhaseCounts } from '../../src/run/phase-counts.ts';
import type { ActiveTask } from '../../src/run/watched-task.ts';

function active(phase: ActiveTask['phase']): ActiveTask {
  return {
    kind: 'active',
    uid: 'u',
    name: 'n',
    phase,
    dependsOn: [],
    branchKey: undefined,
    inBranchQueue: false,
    order: '',
  };
}

test('a Task counts in the phase it is in, as Pending before anybody looked, and no more once it has ended', () => {
  const counts = new PhaseCounts();
  const all = (): number[] => [counts.of('Pending'), counts.of('Waiting'), counts.of('Running')];
  counts.change(undefined, active(undefined));
  counts.change(undefined, active('Waiting'));
  expect(all()).toEqual([1, 1, 0]);
  counts.change(active(undefined), active('Running'));
  expect(all()).toEqual([0, 1, 1]);
  counts.change(active('Running'), { kind: 'expiring', uid: 'u', dueMs: 0 });
  counts.change(active('Waiting'), undefined);
  expect(all()).toEqual([0, 0, 0]);
});
