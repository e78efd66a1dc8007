import { type Hook, Hooks } from '../api/hook.ts';
import type { Draft } from '../api/kinds.ts';
import { onCompletionAnnotation } from '../api/names.ts';
import type { Secret } from '../api/secret.ts';
import { effectiveWorker } from '../api/worker.ts';
import type { CheckedManifest } from './checked-manifests.ts';
import { CliError } from './cli-error.ts';

/** A hook of a manifest, and whose it is. */
export interface FoundHook {
  readonly hook: Hook;
  readonly namespace: string;
  readonly spawner: string | undefined;
  /** Of the Tasks that it is told of. */
  readonly agentType: string | undefined;
  readonly model: string | undefined;
}

/** The hooks of TaskSpawners and, by their annotation, of Tasks. @throws CliError when an annotation is wrong */
export function findHooks(manifests: readonly CheckedManifest[], namespace: string): readonly FoundHook[] {
  return manifests.flatMap(({ kind, draft, file }): FoundHook[] => {
    const where = draft.metadata.namespace ?? namespace;
    const name = draft.metadata.name ?? '';
    if (kind === 'TaskSpawner') {
      const { spec } = draft as Draft<'TaskSpawner'>;
      const stamped = spec.taskTemplate.metadata?.annotations?.[onCompletionAnnotation];
      const hooks = spec.onCompletion?.hooks ?? annotationHooks(stamped, `${file}: taskspawner/${name}`);
      return hooks.map((hook) => ({ hook, namespace: where, spawner: name, ...agentOf(spec.taskTemplate) }));
    }
    if (kind !== 'Task') return [];
    const hooks = annotationHooks(
      draft.metadata.annotations?.[onCompletionAnnotation],
      `${file}: task/${name}`,
    );
    const agent = agentOf((draft as Draft<'Task'>).spec);
    return hooks.map((hook) => ({ hook, namespace: where, spawner: undefined, ...agent }));
  });
}

function agentOf(spec: Parameters<typeof effectiveWorker>[0]): Pick<FoundHook, 'agentType' | 'model'> {
  const { type, model } = effectiveWorker(spec);
  return { agentType: type, model };
}

function annotationHooks(annotation: string | undefined, where: string): readonly Hook[] {
  if (annotation === undefined) return [];
  try {
    return Hooks.parse(JSON.parse(annotation));
  } catch (thrown) {
    // The text itself may hold credentials: it is not repeated.
    throw new CliError(
      'the hooks cannot be read',
      `${where}: annotation ${onCompletionAnnotation}`,
      'write a JSON array of 1 to 8 hooks, as spec.onCompletion.hooks has them',
      { cause: thrown },
    );
  }
}

/** The Secrets of the manifests by `namespace/name`, as a store would hand them out. */
export function findSecrets(
  manifests: readonly CheckedManifest[],
  namespace: string,
): ReadonlyMap<string, Secret> {
  const secrets = new Map<string, Secret>();
  for (const { kind, draft } of manifests) {
    if (kind !== 'Secret') continue;
    const { stringData = {}, data = {}, ...rest } = draft as Draft<'Secret'>;
    const encoded = Object.entries(stringData).map(([key, value]) => [
      key,
      Buffer.from(value).toString('base64'),
    ]);
    const key = { namespace: draft.metadata.namespace ?? namespace, name: draft.metadata.name ?? '' };
    secrets.set(`${key.namespace}/${key.name}`, {
      ...rest,
      data: { ...data, ...Object.fromEntries(encoded) },
      metadata: { ...draft.metadata, ...key, uid: '', resourceVersion: '', creationTimestamp: '' },
    });
  }
  return secrets;
}
