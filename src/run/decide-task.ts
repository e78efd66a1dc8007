import { runFinalizer, skipCompletionAnnotation } from '../api/names.ts';
import { type Task, terminalPhase } from '../api/task.ts';
import type { JsonObject } from '../base/json.ts';
import { type Completion, completionOf, failure } from './completion.ts';
import type { DependencyVerdict } from './dependencies.ts';
import type { RunProgress, RunRecord } from './runner.ts';
import { controllingSpawner, expiryOf, isHeldInVain } from './watched-task.ts';

/** What is known of a Task's run. */
export type RunFact =
  /** The runner does not know all runs yet. */
  | { readonly kind: 'unknown' }
  /** Nothing of it has ever run. */
  | { readonly kind: 'none' }
  | { readonly kind: 'running'; readonly progress: RunProgress }
  | { readonly kind: 'ended'; readonly record: RunRecord };

export interface TaskFacts {
  readonly task: Task;
  readonly run: RunFact;
  /** Whether all that is left of its run goes with the Task by itself. */
  readonly goesWithTask: boolean;
  /** Asked only of Tasks that nothing was started for. */
  readonly dependencies: DependencyVerdict;
  /** Where a cycle of dependencies that the Task is part of comes back to it. */
  readonly cycle: string | undefined;
  /** Wall time in milliseconds. */
  readonly nowMs: number;
}

/** The next thing to do about a Task. */
export type TaskStep =
  | { readonly do: 'nothing' }
  | { readonly do: 'lookAgain'; readonly afterMs: number }
  /** Phase Waiting, with the reason. */
  | { readonly do: 'wait'; readonly message: string }
  | { readonly do: 'start'; readonly deps: JsonObject }
  /** Phase Pending or Running, and where it runs. */
  | { readonly do: 'markUnderWay'; readonly progress: RunProgress }
  | { readonly do: 'cancel' }
  | { readonly do: 'finish'; readonly completion: Completion }
  /** Removes what is kept of the run, if the Task is being deleted, then the finalizer. */
  | { readonly do: 'letGo' }
  /** Removes the finalizer, and has the run stopped as well as that can be done. */
  | { readonly do: 'giveUp' }
  | { readonly do: 'delete' };

const nothing: TaskStep = { do: 'nothing' };

/**
 * What is to be done about a Task, from what the store and the runner say of it: so the next engine comes to the
 * same end, wherever the last one stopped.
 *
 * T1. A Task that has ended is never run again.
 * T2. Nothing is started twice: a run that there is, whatever the phase says, is the run of the Task.
 * T3. A Task that is deleted goes when nothing of it runs and how it ended is written, or when an operator says so.
 * T4. A Task that has ended is held only for what would be left of its run.
 */
export function decideTask(facts: TaskFacts): TaskStep {
  const { task, run } = facts;
  const deleting = task.metadata.deletionTimestamp !== undefined;
  if (isGivenUp(task, facts.goesWithTask)) return { do: 'giveUp' };
  if (run.kind === 'unknown') return nothing;
  if (deleting && run.kind === 'running') return { do: 'cancel' };
  if (terminalPhase(task) !== undefined) return decideEnded(facts, deleting);
  switch (run.kind) {
    case 'ended':
      return { do: 'finish', completion: completionOf(run.record, deleting) };
    case 'running':
      return isTold(task, run.progress) ? nothing : { do: 'markUnderWay', progress: run.progress };
    case 'none':
      return decideNotRun(facts, deleting);
  }
}

/**
 * Whether a Task that is being deleted is let go whatever its run does: its annotation says so, and the run goes with
 * it. What is known of the run does not matter, which may be nothing, because Jobs cannot be read.
 */
export function isGivenUp(task: Task, goesWithTask: boolean): boolean {
  const { annotations = {}, deletionTimestamp } = task.metadata;
  const says = deletionTimestamp !== undefined && annotations[skipCompletionAnnotation] === 'true';
  return says && goesWithTask && holds(task);
}

function decideEnded({ task, run, goesWithTask, nowMs }: TaskFacts, deleting: boolean): TaskStep {
  // Somebody else wrote how it ended.
  if (run.kind === 'running') return nothing;
  if (isHeldInVain(task, goesWithTask)) return { do: 'letGo' };
  if (deleting) return nothing;
  const dueMs = expiryOf(task);
  if (dueMs === undefined) return nothing;
  return dueMs <= nowMs ? { do: 'delete' } : { do: 'lookAgain', afterMs: dueMs - nowMs };
}

function decideNotRun({ task, dependencies, cycle }: TaskFacts, deleting: boolean): TaskStep {
  const { phase, jobName } = task.status ?? {};
  if (phase === 'Running' || jobName !== undefined)
    return { do: 'finish', completion: failure(lossText(jobName, deleting)) };
  if (deleting) return holds(task) ? { do: 'letGo' } : nothing;
  if (task.spec.suspend === true) return { do: 'wait', message: suspendText(task) };
  if (cycle !== undefined)
    return {
      do: 'finish',
      completion: failure(`Circular dependency detected: cycle involves "${cycle}"`, 'DependencyFailed'),
    };
  switch (dependencies.kind) {
    case 'failed':
      return { do: 'finish', completion: failure(dependencies.message, 'DependencyFailed') };
    case 'waiting':
      return { do: 'wait', message: dependencies.message };
    case 'met':
      return { do: 'start', deps: dependencies.deps };
  }
}

/**
 * The phase of a Task whose run is under way. One whose program has begun stays Running, also while another Pod takes
 * the place of the first.
 */
export function phaseUnderWay({ status }: Task, { startedAt }: RunProgress): 'Pending' | 'Running' {
  return startedAt !== undefined || status?.phase === 'Running' ? 'Running' : 'Pending';
}

/** Whether the status of a Task says all of how far its run has come. */
function isTold(task: Task, progress: RunProgress): boolean {
  const { phase, jobName, podName, message } = task.status ?? {};
  return (
    phase === phaseUnderWay(task, progress) &&
    (progress.jobName ?? jobName) === jobName &&
    (progress.podName ?? podName) === podName &&
    (message || undefined) === progress.heldUp
  );
}

function lossText(jobName: string | undefined, deleting: boolean): string {
  if (deleting) return 'Task was deleted while running';
  const lost =
    jobName === undefined
      ? 'it was running, but there is no trace of its run on this machine (was its folder removed?)'
      : `its Job "${jobName}" is gone (was it deleted?)`;
  return `Task failed: ${lost}; create it again`;
}

function holds(task: Task): boolean {
  return task.metadata.finalizers?.includes(runFinalizer) === true;
}

function suspendText(task: Task): string {
  const spawner = controllingSpawner(task);
  return spawner === undefined
    ? 'Suspended: it runs when spec.suspend is false'
    : `Waiting for a free slot of TaskSpawner "${spawner}"`;
}
