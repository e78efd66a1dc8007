import { sourceNames, type TaskSpawner } from '../../api/task-spawner.ts';
import { effectiveWorker } from '../../api/worker.ts';
import { toYaml } from '../object-text.ts';
import { originOf } from './describe-delivery.ts';
import type { Outline } from './outline.ts';

/** Where a TaskSpawner's work comes from, what it makes of it, and how far it is. */
export function describeTaskSpawner(spawner: TaskSpawner, outline: Outline): void {
  const { spec, status = {} } = spawner;
  const source = sourceNames.find((name) => spec.when[name] !== undefined);
  const { type, model } = effectiveWorker(spec.taskTemplate);
  outline.fields([
    ['Phase', status.phase || 'Pending'],
    ['Message', status.message],
    ['Suspended', spec.suspend ?? false],
    ['Source', source],
    ['Task type', type],
    ['Model', model],
    ['At once', spec.maxConcurrency ? `at most ${spec.maxConcurrency}` : 'no limit'],
    ['Ever', spec.maxTotalTasks ? `at most ${spec.maxTotalTasks}` : 'no limit'],
    ['Active', status.activeTasks ?? 0],
    ['Waiting', status.waitingTasks ?? 0],
    ['Created', status.totalTasksCreated ?? 0],
    ['Discovered', status.totalDiscovered],
    ['Last discovery', status.lastDiscoveryTime],
  ]);
  if (source !== undefined) outline.section(`When ${source}`, [toYaml(spec.when[source])]);
  outline.section(
    'Hooks',
    (spec.onCompletion?.hooks ?? []).map(({ name, phases, webhook }) => {
      const target = webhook.urlFrom === undefined ? originOf(webhook.url) : 'the URL in a Secret';
      return `${name}: ${phases?.join(', ') || 'both phases'}${target === undefined ? '' : ` to ${target}`}`;
    }),
  );
}
