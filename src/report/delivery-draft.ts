import type { Payload } from '../api/delivery.ts';
import type { Hook } from '../api/hook.ts';
import { apiVersionOf, type Draft } from '../api/kinds.ts';
import { deliveryHookLabel, deliveryTaskLabel, expiredAnnotation } from '../api/names.ts';
import type { Task } from '../api/task.ts';
import type { HookList, InvalidHook } from './hooks-annotation.ts';
import { payloadOf, spawnerOf } from './payload.ts';
import { deliveryId, deliveryName, type Run } from './run-id.ts';

/** The Deliveries that a run of a Task calls for: one for each hook that wants its phase, one for each invalid hook. */
export function draftDeliveries(
  task: Task,
  run: Run,
  list: HookList,
  options: { readonly expired: boolean },
): Draft<'Delivery'>[] {
  const payload = payloadOf(task, run.phase);
  const annotations = options.expired ? { [expiredAnnotation]: 'true' } : undefined;
  const drafts: Draft<'Delivery'>[] = [];
  for (const hook of list.hooks)
    if (wantsPhase(hook, run)) drafts.push(draftDelivery(task, run, hook, payload, annotations));
  for (const hook of list.invalid) drafts.push(draftDelivery(task, run, hook, payload, annotations));
  return drafts;
}

/** The Delivery of one hook. An invalid one keeps its message and nothing else of what was written. */
export function draftDelivery(
  task: Task,
  run: Run,
  hook: Hook | InvalidHook,
  payload: Payload,
  annotations?: Readonly<Record<string, string>>,
): Draft<'Delivery'> {
  const id = deliveryId(run, hook.name);
  const { name, namespace, uid } = task.metadata;
  return {
    apiVersion: apiVersionOf('Delivery'),
    kind: 'Delivery',
    metadata: {
      name: deliveryName(id),
      namespace,
      labels: { ...(name.length <= 63 ? { [deliveryTaskLabel]: name } : {}), [deliveryHookLabel]: hook.name },
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
    },
    spec: {
      id,
      task: {
        name,
        uid,
        phase: run.phase,
        completionTime: payload.completionTime,
        spawner: spawnerOf(task),
      },
      hook: 'message' in hook ? { name: hook.name, invalid: hook.message } : { ...hook },
      payload,
    },
  };
}

function wantsPhase(hook: Hook, run: Run): boolean {
  return hook.phases === undefined || hook.phases.length === 0 || hook.phases.includes(run.phase);
}
