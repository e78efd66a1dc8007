import { describe, expect, test } from 'vitest';
import type { TaskSpawnerStatus } from '../../src/api/task-spawner.ts';
import { planSpawner } from '../../src/spawn/spawner-plan.ts';
import { decideStatus, type StatusInput } from '../../src/spawn/spawner-status.ts';
import { cronSpec, storedSpawner, webhookSpec } from './fixtures.ts';

function input(changes: Partial<StatusInput> = {}): StatusInput {
  const spawner = changes.spawner ?? storedSpawner();
  return {
    spawner,
    planned: planSpawner(spawner.spec),
    counts: { active: 1, waiting: 2 },
    totalTasksCreated: 5,
    health: { kind: 'unknown' },
    throughMs: undefined,
    nextMs: undefined,
    nowMs: Date.parse('2026-01-02T03:04:05Z'),
    ...changes,
  };
}

/** The status that the patch would give. */
function status(changes: Partial<StatusInput> = {}): TaskSpawnerStatus {
  return { ...decideStatus(input(changes)) };
}

function condition(from: TaskSpawnerStatus, type: string): string {
  const found = from.conditions?.find((one) => one.type === type);
  return `${found?.status}/${found?.reason}`;
}

describe('the status of a TaskSpawner', () => {
  test('that works has its counts and the conditions of Kelos', () => {
    const now = status();
    expect(now).toMatchObject({
      phase: 'Running',
      message: 'Webhook-driven TaskSpawner ready',
      activeTasks: 1,
      waitingTasks: 2,
      totalTasksCreated: 5,
      observedGeneration: 1,
    });
    expect(condition(now, 'Suspended')).toBe('False/Running');
    expect(condition(now, 'MaxTotalTasksReached')).toBe('False/LimitAvailable');
    expect(condition(now, 'DiscoveryError')).toBe('False/NoErrors');
  });

  test('that says everything already needs no change', () => {
    expect(decideStatus(input({ spawner: storedSpawner(webhookSpec, status()) }))).toBeUndefined();
  });

  test('changes only what is different', () => {
    const spawner = storedSpawner(webhookSpec, status());
    expect(decideStatus(input({ spawner, counts: { active: 0, waiting: 2 } }))).toEqual({ activeTasks: 0 });
  });

  test('that is suspended says so, and since when', () => {
    const suspended = { ...webhookSpec, suspend: true };
    const spawner = storedSpawner(suspended, status());
    const now = status({ spawner, nowMs: Date.parse('2026-01-02T04:00:00Z') });
    expect(now).toMatchObject({ phase: 'Suspended', message: 'Suspended by user' });
    expect(condition(now, 'Suspended')).toBe('True/UserSuspended');
    expect(now.conditions?.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
      '2026-01-02T04:00:00Z',
      '2026-01-02T03:04:05Z',
      '2026-01-02T03:04:05Z',
    ]);
  });

  test('that has made all its Tasks says so', () => {
    const now = status({ spawner: storedSpawner({ ...webhookSpec, maxTotalTasks: 5 }) });
    expect(now.message).toBe('All 5 Tasks of spec.maxTotalTasks have been made');
    expect(condition(now, 'MaxTotalTasksReached')).toBe('True/LimitReached');
  });

  test('that cannot be worked is Failed and says why', () => {
    const now = status({ spawner: storedSpawner({ ...webhookSpec, when: { slack: {} } }) });
    expect(now).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^spec\.when\.slack: /) });
    expect(condition(now, 'DiscoveryError')).toBe('True/NotSupported');
  });

  test('whose hooks are wrong works all the same and says what is wrong, until they are right', () => {
    const hook = { name: 'pager', phases: ['Failed' as const], webhook: { url: 'https://example.com' } };
    const wrong = { ...webhookSpec, onCompletion: { hooks: [{ ...hook, filter: 'task.cost > 5' }] } };
    const now = status({ spawner: storedSpawner(wrong) });
    expect(now.phase).toBe('Running');
    expect(condition(now, 'InvalidHooks')).toBe('True/FaultFound');
    expect(now.conditions?.find(({ type }) => type === 'InvalidHooks')?.message).toMatch(
      /^spec\.onCompletion\.hooks\[0\]\.filter: does not know task\.cost; known: /,
    );

    const right = { ...wrong, onCompletion: { hooks: [hook] } };
    const mended = status({ spawner: storedSpawner(right, now) });
    expect(mended.conditions?.some(({ type }) => type === 'InvalidHooks')).toBe(false);
  });

  test('that stamps hooks on its Tasks says what is wrong with these', () => {
    const metadata = { annotations: { 'kelos.dev/on-completion': '[{"name": "pager"}]' } };
    const stamped = { ...webhookSpec, taskTemplate: { ...webhookSpec.taskTemplate, metadata } };
    const now = status({ spawner: storedSpawner(stamped) });
    expect(now.conditions?.find(({ type }) => type === 'InvalidHooks')?.message).toMatch(
      /on-completion.*hooks\[0\]/,
    );
  });

  test.each(['{{.task', '{{nobody .task}}'])(
    'says of the body of a hook that it is no template: %s',
    (template) => {
      const url = 'https://example.com';
      const hooks = [
        { name: 'well', webhook: { url, template: '{{json .task}}' } },
        { name: 'wrong', webhook: { url, template } },
      ];
      const now = status({ spawner: storedSpawner({ ...webhookSpec, onCompletion: { hooks } }) });
      expect(now.phase).toBe('Running');
      expect(now.conditions?.find(({ type }) => type === 'InvalidHooks')?.message).toMatch(
        /^spec\.onCompletion\.hooks\[1\]\.webhook\.template: 1:\d+: [^;]+$/,
      );
    },
  );

  test('does not judge hooks that are only known when their annotation is rendered', () => {
    const annotation = '[{"name": "pager", "webhook": {"url": {{printf "%q" .title}}}}]';
    const metadata = { annotations: { 'kelos.dev/on-completion': annotation } };
    const stamped = { ...webhookSpec, taskTemplate: { ...webhookSpec.taskTemplate, metadata } };
    const now = status({ spawner: storedSpawner(stamped) });
    expect(now.conditions?.some(({ type }) => type === 'InvalidHooks')).toBe(false);
  });

  test('keeps the last trouble over a restart, until a Task is made or the spec is changed', () => {
    const troubled = status({ health: { kind: 'trouble', message: 'no such variable' } });
    expect(troubled.message).toBe('No Task was made: no such variable');
    expect(condition(troubled, 'DiscoveryError')).toBe('True/TaskCreationFailed');

    const spawner = storedSpawner(webhookSpec, troubled);
    expect(decideStatus(input({ spawner }))).toBeUndefined();
    expect(condition(status({ spawner, health: { kind: 'well' } }), 'DiscoveryError')).toBe('False/NoErrors');
    const changed = { ...spawner, metadata: { ...spawner.metadata, generation: 2 } };
    expect(condition(status({ spawner: changed }), 'DiscoveryError')).toBe('False/NoErrors');
  });

  test('of a schedule says how far it is and when it goes on', () => {
    const now = status({
      spawner: storedSpawner(cronSpec('*/5 * * * *')),
      throughMs: Date.parse('2026-01-02T03:00:00Z'),
      nextMs: Date.parse('2026-01-02T03:05:00Z'),
    });
    expect(now).toMatchObject({
      lastDiscoveryTime: '2026-01-02T03:00:00Z',
      message: 'Created 5 tasks total; next at 2026-01-02T03:05:00Z',
    });
  });

  test('leaves the conditions of others alone', () => {
    const foreign = {
      type: 'TaskBudgetExhausted',
      status: 'False' as const,
      reason: 'BudgetAvailable',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    expect(
      status({ spawner: storedSpawner(webhookSpec, { conditions: [foreign] }) }).conditions,
    ).toContainEqual(foreign);
  });
});
