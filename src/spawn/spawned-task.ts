import { kinds, type Resource } from '../api/kinds.ts';
import { taskNumberAnnotation } from '../api/names.ts';
import { terminalPhase } from '../api/task.ts';

/** What spawning keeps of a Task that has not ended. */
export interface SpawnedTask {
  readonly namespace: string;
  readonly name: string;
  /** The TaskSpawner it belongs to. */
  readonly spawner: { readonly name: string; readonly uid: string };
  /** Its place among those that wait: lower goes first. */
  readonly order: number;
  /** `leaving`: held back and already being deleted; it neither runs nor waits for a slot. */
  readonly state: 'active' | 'waiting' | 'leaving';
  /** Its resourceVersion, as a number. */
  readonly version: number;
}

/** The TaskSpawner that controls a Task. */
export function spawnerOf(task: Resource<'Task'>): { name: string; uid: string } | undefined {
  const owner = task.metadata.ownerReferences?.find(
    ({ apiVersion, kind, controller }) =>
      controller === true && kind === 'TaskSpawner' && apiVersion.startsWith(`${kinds.TaskSpawner.group}/`),
  );
  return owner === undefined ? undefined : { name: owner.name, uid: owner.uid };
}

/** The ordinal that a Task was given when it was made. */
export function taskNumberOf(task: Resource<'Task'>): number | undefined {
  const text = task.metadata.annotations?.[taskNumberAnnotation];
  // Anybody may write annotations: nine digits are enough for any count, and none of them moves it to the moon.
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

/** What to keep of a Task; undefined when it has ended or no TaskSpawner made it. */
export function spawnedTask(task: Resource<'Task'>): SpawnedTask | undefined {
  const spawner = spawnerOf(task);
  if (spawner === undefined || terminalPhase(task) !== undefined) return undefined;
  const { namespace, name, resourceVersion, deletionTimestamp } = task.metadata;
  const held = task.spec.suspend === true;
  return {
    namespace,
    name,
    spawner,
    order: taskNumberOf(task) ?? unnumberedOrder(task),
    state: held ? (deletionTimestamp === undefined ? 'waiting' : 'leaving') : 'active',
    version: Number(resourceVersion),
  };
}

/** Tasks without a number were made before Telos came: they go first, by age. */
function unnumberedOrder(task: Resource<'Task'>): number {
  return Date.parse(task.metadata.creationTimestamp) - Number.MAX_SAFE_INTEGER / 2;
}
