import type { Fault } from '../api/fault.ts';
import { bodyTemplateFaults, filterFaults, hooksAnnotationFaults } from '../api/hook-check.ts';
import { onCompletionAnnotation } from '../api/names.ts';
import type { TaskSpawner } from '../api/task-spawner.ts';
import { sourceNames } from '../api/task-spawner.ts';
import { type Source, SpawnerConfigError } from './source.ts';
import { cronSource } from './sources/cron.ts';
import { webhookSource } from './sources/webhook.ts';
import { parseTaskTemplates, type TaskTemplates } from './task-templates.ts';

/** A TaskSpawner's spec, checked and compiled, ready to be worked. */
export interface SpawnerPlan {
  readonly source: Source;
  readonly templates: TaskTemplates;
  /** What is wrong with its hooks. Its Tasks are made all the same, and end without being told to these. */
  readonly hookFaults: readonly Fault[];
}

/** A plan, or one line that says why there is none. */
export type Planned =
  | { readonly ok: true; readonly plan: SpawnerPlan }
  | { readonly ok: false; readonly code: SpawnerConfigError['code']; readonly message: string };

/** Compiles a TaskSpawner. Pure; costs parsing, so keep what it gives: see `PlanCache`. */
export function planSpawner(spec: TaskSpawner['spec']): Planned {
  try {
    refuseUnsupported(spec);
    return {
      ok: true,
      plan: {
        source: sourceOf(spec.when),
        templates: parseTaskTemplates(spec.taskTemplate),
        hookFaults: hookFaultsOf(spec),
      },
    };
  } catch (thrown) {
    if (!(thrown instanceof SpawnerConfigError)) throw thrown;
    return { ok: false, code: thrown.code, message: thrown.message };
  }
}

/** Keeps the plan of each TaskSpawner until its spec changes. */
export class PlanCache {
  readonly #plans = new Map<string, { readonly generation: number | undefined; readonly planned: Planned }>();

  of(spawner: TaskSpawner): Planned {
    const { uid, generation } = spawner.metadata;
    const kept = this.#plans.get(uid);
    if (kept !== undefined && generation !== undefined && kept.generation === generation) return kept.planned;
    const planned = planSpawner(spawner.spec);
    this.#plans.set(uid, { generation, planned });
    return planned;
  }

  forget(uid: string): void {
    this.#plans.delete(uid);
  }
}

function sourceOf(when: TaskSpawner['spec']['when']): Source {
  if (when.cron !== undefined) return cronSource(when.cron);
  if (when.webhook !== undefined) return webhookSource(when.webhook);
  const named = sourceNames.find((name) => when[name] !== undefined);
  throw new SpawnerConfigError(
    'NotSupported',
    named === undefined
      ? { path: 'spec.when', message: 'names no source; use cron or webhook' }
      : {
          path: `spec.when.${named}`,
          message: 'this version of Telos does not work this source yet; use cron or webhook',
        },
  );
}

/** Faults that a store lets through when whoever applied it did not ask Telos. */
function hookFaultsOf({ onCompletion, taskTemplate }: TaskSpawner['spec']): readonly Fault[] {
  if (onCompletion !== undefined) {
    const path = ['spec', 'onCompletion', 'hooks'];
    return [...filterFaults(onCompletion.hooks, path), ...bodyTemplateFaults(onCompletion.hooks, path)];
  }
  const stamped = taskTemplate.metadata?.annotations?.[onCompletionAnnotation];
  // A template is not JSON before it is rendered.
  if (stamped === undefined || stamped.includes('{{')) return [];
  const path = ['spec', 'taskTemplate', 'metadata', 'annotations', onCompletionAnnotation];
  return hooksAnnotationFaults(stamped, path);
}

/** What a Task would have to lack without anybody noticing is refused instead. */
function refuseUnsupported(spec: TaskSpawner['spec']): void {
  if ((spec.taskTemplate.contextSources ?? []).length > 0)
    throw new SpawnerConfigError('NotSupported', {
      path: 'spec.taskTemplate.contextSources',
      message: 'this version of Telos does not fetch them yet; remove them',
    });
  if ((spec.credentials ?? []).length > 0)
    throw new SpawnerConfigError('NotSupported', {
      path: 'spec.credentials',
      message: 'this version of Telos does not draw from a pool yet; use spec.taskTemplate.credentials',
    });
}
