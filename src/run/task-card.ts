import { onCompletionFinalizer, runFinalizer, taskNumberAnnotation, taskSpawnerLabel } from '../api/names.ts';
import { type Task, type TaskPhase, terminalPhase } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';
import type { Key } from '../store/store.ts';

/** What the room keeps of a Task: enough to decide, without prompt and outputs. */
export interface TaskCard {
  readonly key: Key;
  readonly uid: string;
  readonly phase: TaskPhase | '';
  readonly message: string;
  readonly isTerminal: boolean;
  readonly isDeleting: boolean;
  /** Whether our own finalizer is on it: its run was begun. */
  readonly isHeld: boolean;
  /** Whether its Deliveries are still to be recorded. */
  readonly isUnrecorded: boolean;
  readonly suspend: boolean;
  readonly spawner: string | undefined;
  readonly dependsOn: readonly string[];
  /** What only one Task at a time may work on: `namespace/workspace:branch`. */
  readonly branchKey: string | undefined;
  readonly branch: string;
  /** Sorts by age, also within a second. */
  readonly age: string;
  /** Epoch milliseconds when it is to be removed; undefined: never. */
  readonly expiresAt: number | undefined;
}

/** The card of a Task; undefined when there is nothing to be done about it ever again. */
export function cardOf(task: Task): TaskCard | undefined {
  const { metadata, spec, status } = task;
  const { finalizers = [], deletionTimestamp } = metadata;
  const isTerminal = terminalPhase(task) !== undefined;
  const isHeld = finalizers.includes(runFinalizer);
  const isDeleting = deletionTimestamp !== undefined;
  const expiresAt = expiryOf(task, isTerminal);
  if (isTerminal && !isHeld && (expiresAt === undefined || isDeleting)) return undefined;
  const { workspaceRef } = effectiveWorker(spec);
  const locks = !isTerminal && spec.branch !== undefined && spec.branch !== '' && spec.branchLock !== 'None';
  return {
    key: { namespace: metadata.namespace, name: metadata.name },
    uid: metadata.uid,
    phase: status?.phase ?? '',
    message: status?.message ?? '',
    isTerminal,
    isDeleting,
    isHeld,
    isUnrecorded: finalizers.includes(onCompletionFinalizer),
    suspend: spec.suspend === true,
    spawner: metadata.labels?.[taskSpawnerLabel],
    dependsOn: isTerminal ? [] : (spec.dependsOn ?? []),
    branchKey: locks ? `${metadata.namespace}/${workspaceRef?.name ?? ''}:${spec.branch}` : undefined,
    branch: spec.branch ?? '',
    age: `${metadata.creationTimestamp} ${(metadata.annotations?.[taskNumberAnnotation] ?? '').padStart(12, '0')} ${metadata.uid}`,
    expiresAt,
  };
}

function expiryOf({ spec, status, metadata }: Task, isTerminal: boolean): number | undefined {
  if (!isTerminal || spec.ttlSecondsAfterFinished === undefined) return undefined;
  // Others may have left the completion time out; then its age has to do.
  const ended = Date.parse(status?.completionTime ?? metadata.creationTimestamp);
  return Number.isNaN(ended) ? undefined : ended + spec.ttlSecondsAfterFinished * 1000;
}
