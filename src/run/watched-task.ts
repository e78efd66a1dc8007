import {
  kelosFinalizer,
  onCompletionAnnotation,
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  runFinalizer,
  skipCompletionAnnotation,
  taskNumberAnnotation,
} from '../api/names.ts';
import { type Task, type TaskPhase, terminalPhase } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';

/** What this room keeps of a Task that it may have to do something about. */
export type WatchedTask = ActiveTask | EndedTask | ExpiringTask;

/** It has not ended. */
export interface ActiveTask {
  readonly kind: 'active';
  readonly uid: string;
  readonly name: string;
  readonly phase: TaskPhase | undefined;
  readonly dependsOn: readonly string[];
  /** Tasks with the same text run one after the other. */
  readonly branchKey: string | undefined;
  /** Whether it waits for its branch. */
  readonly inBranchQueue: boolean;
  /** Age as a text: the older sorts first. */
  readonly order: string;
}

/** It has ended, and is held no longer once nothing of its run needs it. */
export interface EndedTask {
  readonly kind: 'ended';
  readonly uid: string;
}

/** It has ended and is deleted at a certain time. */
export interface ExpiringTask {
  readonly kind: 'expiring';
  readonly uid: string;
  /** Wall time in milliseconds. */
  readonly dueMs: number;
}

/** How messages about a branch begin; what waits for one is known by it, also to the next engine. */
export const branchMessagePrefix = 'Waiting for branch ';

/**
 * What to keep of a Task; undefined when there is nothing to do for it, as for nearly all that have ended.
 * `goesWithTask`: whether what is left of its run needs nobody to clear it up.
 */
export function watchedTask(task: Task, goesWithTask: boolean): WatchedTask | undefined {
  const { metadata } = task;
  if (metadata.finalizers?.includes(kelosFinalizer) === true) return undefined;
  if (terminalPhase(task) === undefined) return activeTask(task);
  if (isHeldInVain(task, goesWithTask)) return { kind: 'ended', uid: metadata.uid };
  if (metadata.deletionTimestamp !== undefined) return undefined;
  const dueMs = expiryOf(task);
  return dueMs === undefined ? undefined : { kind: 'expiring', uid: metadata.uid, dueMs };
}

/**
 * Whether a Task that has ended is to be let go: it is being deleted, or nothing that is left of its run needs it. One
 * that is held for its hooks cannot go anyway, and is about to be written: two writes at once would only be in each
 * other's way.
 */
export function isHeldInVain({ metadata }: Task, goesWithTask: boolean): boolean {
  const { finalizers = [], deletionTimestamp } = metadata;
  if (!finalizers.includes(runFinalizer)) return false;
  return deletionTimestamp !== undefined || (goesWithTask && !finalizers.includes(onCompletionFinalizer));
}

/**
 * When a Task that has ended is to be deleted, in milliseconds of wall time; undefined when it is kept, or when
 * its hooks are not recorded yet.
 */
export function expiryOf(task: Task): number | undefined {
  const { ttlSecondsAfterFinished } = task.spec;
  const phase = terminalPhase(task);
  if (ttlSecondsAfterFinished === undefined || phase === undefined) return undefined;
  const completedMs = Date.parse(task.status?.completionTime ?? '');
  if (Number.isNaN(completedMs) || !isReported(task, phase)) return undefined;
  return completedMs + ttlSecondsAfterFinished * 1000;
}

/** The TaskSpawner that controls a Task. */
export function controllingSpawner({ metadata }: Task): string | undefined {
  return metadata.ownerReferences?.find(
    ({ kind, controller }) => controller === true && kind === 'TaskSpawner',
  )?.name;
}

function isReported({ metadata }: Task, phase: string): boolean {
  const { finalizers = [], annotations = {} } = metadata;
  if (finalizers.includes(onCompletionFinalizer)) return false;
  if (annotations[onCompletionAnnotation] === undefined) return true;
  return annotations[skipCompletionAnnotation] === 'true' || annotations[reportedPhaseAnnotation] === phase;
}

function activeTask(task: Task): ActiveTask {
  const { uid, name, namespace, creationTimestamp, annotations } = task.metadata;
  const { spec, status } = task;
  const number = annotations?.[taskNumberAnnotation] ?? '';
  return {
    kind: 'active',
    uid,
    name,
    phase: status?.phase || undefined,
    dependsOn: spec.dependsOn ?? [],
    branchKey: spec.branch && spec.branchLock !== 'None' ? branchKeyOf(namespace, task) : undefined,
    inBranchQueue: status?.phase === 'Waiting' && status.message?.startsWith(branchMessagePrefix) === true,
    order: [creationTimestamp, number.padStart(9, '0'), name].join(' '),
  };
}

function branchKeyOf(namespace: string, { spec }: Task): string {
  const workspace = effectiveWorker(spec).workspaceRef?.name ?? '';
  return `${namespace}/${workspace}:${spec.branch ?? ''}`;
}
