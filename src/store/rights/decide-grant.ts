import { onCompletionFinalizer, runFinalizer } from '../../api/names.ts';
import type { Task } from '../../api/task.ts';

/** The longest that a namespace that goes waits for the last attempts at what goes with it, in milliseconds. */
export const lastWordsMs = 30_000;

/** What is known of a grant and its namespace. */
export interface GrantFacts {
  /** Whether it has the finalizer of Telos. */
  readonly isHeld: boolean;
  readonly isDeleting: boolean;
  /** Whether the engine that works in the namespace is about to end. */
  readonly isLeaving: boolean;
  /** Whether the namespace is being deleted. Matters only when the grant is. */
  readonly isNamespaceGoing: boolean;
  /** Whether Telos holds a Task there, or might still come to. */
  readonly holdsTasks: boolean;
  /** Whether something there is to be told for the last time. */
  readonly owesAttempts: boolean;
  /** For how long it has been seen being deleted, in milliseconds. */
  readonly deletingMs: number;
}

export type GrantStep =
  | { readonly do: 'nothing' }
  /** Adds the finalizer: before any Task is held. */
  | { readonly do: 'hold' }
  /** Takes it off. */
  | { readonly do: 'release' }
  /** The rights are still needed: look again. */
  | { readonly do: 'wait' };

/**
 * What is to be done about a grant. A namespace that is deleted takes the grant along, mostly before the Tasks: without
 * rights Telos could not let go of them, and the namespace would never end. So the grant stays until they are gone. One
 * that is deleted by itself was taken back, and is not held up.
 */
export function decideGrant(facts: GrantFacts): GrantStep {
  const { isHeld, isDeleting, isLeaving, isNamespaceGoing, holdsTasks } = facts;
  if (!isHeld) return { do: isDeleting || isLeaving ? 'nothing' : 'hold' };
  if (!isDeleting) return { do: isLeaving && !holdsTasks ? 'release' : 'nothing' };
  if (!isNamespaceGoing) return { do: 'release' };
  const hasMoreToSay = facts.owesAttempts && !isLeaving && facts.deletingMs < lastWordsMs;
  return { do: holdsTasks || hasMoreToSay ? 'wait' : 'release' };
}

/** Whether Telos holds a Task. */
export function isHeldTask({ metadata }: Task): boolean {
  const { finalizers = [] } = metadata;
  return finalizers.includes(onCompletionFinalizer) || finalizers.includes(runFinalizer);
}

/** The same, or it may come to: what is not being deleted may get finalizers at any moment. */
export function mayBeHeldTask(task: Task): boolean {
  return task.metadata.deletionTimestamp === undefined || isHeldTask(task);
}
