import type { TerminalPhase } from '../api/hook.ts';
import {
  kelosFinalizer,
  onCompletionAnnotation,
  onCompletionFinalizer,
  outputsAwaitedAnnotation,
  reportedPhaseAnnotation,
  reportedRunAnnotation,
  runFinalizer,
  skipCompletionAnnotation,
} from '../api/names.ts';
import { type Task, terminalPhase } from '../api/task.ts';
import { isSameRun, mayBeAnotherRun, parseRun, type Run, runOf } from './run-id.ts';

/** Why a Task is let go although nothing was recorded of it just now. */
export type ReleaseReason =
  /** It has no hooks (any more). */
  | 'NoHooks'
  /** An operator said so. */
  | 'CompletionSkipped'
  /** It is being deleted, has not ended, and nobody is left who would write how it did. */
  | 'NeverEnded'
  /** Its run is recorded already. */
  | 'Recorded'
  /** It is being deleted with its whole namespace, in which nothing can be recorded any more. */
  | 'NamespaceGone';

/** What a Task needs of the recorder. */
export type RecordingStep =
  | { readonly do: 'nothing' }
  /** Holds the Task with the finalizer, and takes away what was noted of an earlier run: it is running again. */
  | { readonly do: 'hold' }
  | { readonly do: 'release'; readonly reason: ReleaseReason }
  | { readonly do: 'record'; readonly phase: TerminalPhase; readonly run: Run };

/**
 * What is to be done about a Task, from what the store says of it and nothing else: so the next start comes to
 * the same end, wherever the last one was interrupted.
 */
export function decideRecording(task: Task): RecordingStep {
  const { annotations = {}, finalizers = [], deletionTimestamp } = task.metadata;
  const held = finalizers.includes(onCompletionFinalizer);
  const release = (reason: ReleaseReason): RecordingStep =>
    held ? { do: 'release', reason } : { do: 'nothing' };

  if (annotations[onCompletionAnnotation] === undefined) return release('NoHooks');
  if (annotations[skipCompletionAnnotation] === 'true') return release('CompletionSkipped');
  const phase = terminalPhase(task);
  if (phase !== undefined) {
    const run = runOf(task, phase);
    return isRecorded(annotations, run) ? release('Recorded') : { do: 'record', phase, run };
  }
  if (deletionTimestamp !== undefined)
    return finalizers.includes(runFinalizer) ? { do: 'nothing' } : release('NeverEnded');
  const past = [reportedPhaseAnnotation, outputsAwaitedAnnotation].some((name) => name in annotations);
  return held && !past ? { do: 'nothing' } : { do: 'hold' };
}

/**
 * Whether the marker speaks of this very run. A marker without our run beside it was written by another
 * reporter, and is believed. (A Task seen running again has lost its marker by then, see `hold`.) A marker that
 * was copied along with another Task's annotations has another uid.
 */
function isRecorded(annotations: Readonly<Record<string, string>>, run: Run): boolean {
  if (annotations[reportedPhaseAnnotation] !== run.phase) return false;
  const recorded = recordedRun(annotations);
  return recorded === undefined || isSameRun(recorded, run);
}

function recordedRun(annotations: Readonly<Record<string, string>>): Run | undefined {
  const text = annotations[reportedRunAnnotation];
  return text === undefined ? undefined : parseRun(text);
}

/**
 * Whether a Task that is taken for recorded may have run again while nobody looked, as far as its times say. Nothing
 * can be done about it, because telling a run twice is no better: but it must not pass in silence.
 */
export function isRecordedInDoubt(task: Task): boolean {
  const { annotations = {} } = task.metadata;
  const recorded = recordedRun(annotations);
  const phase = terminalPhase(task);
  if (recorded === undefined || phase === undefined) return false;
  if (annotations[onCompletionAnnotation] === undefined) return false;
  if (annotations[skipCompletionAnnotation] === 'true') return false;
  return mayBeAnotherRun(recorded, runOf(task, phase));
}

/**
 * Milliseconds to wait for outputs that are written after the phase. Only Kelos writes them late (up to 30 s),
 * and only for Tasks that had a Job or Pod; a Task that is being deleted gets none any more. Counted from what the
 * store says, so that a restart does not begin anew; a wait of which it says nothing yet begins now.
 */
export function outputsWaitMs(task: Task, nowMs: number, lateOutputsMs: number): number {
  const { metadata, status } = task;
  const late =
    metadata.finalizers?.includes(kelosFinalizer) === true &&
    metadata.deletionTimestamp === undefined &&
    Boolean(status?.jobName || status?.podName) &&
    !status?.outputs?.length;
  if (!late) return 0;
  const sinceMs = outputsAwaitedSince(task) ?? nowMs;
  return Math.min(Math.max(0, sinceMs + lateOutputsMs - nowMs), lateOutputsMs);
}

/**
 * Since when outputs are awaited, in epoch milliseconds: since the run completed, or, where whoever ran it left
 * completionTime empty, since the recorder noted that it waits. Undefined while neither is known.
 */
export function outputsAwaitedSince({ status, metadata }: Task): number | undefined {
  for (const time of [status?.completionTime, metadata.annotations?.[outputsAwaitedAnnotation]]) {
    const epochMs = Date.parse(time ?? '');
    if (!Number.isNaN(epochMs)) return epochMs;
  }
  return undefined;
}

/**
 * Whether a completion is too old to tell anybody of. Never that of a Task which is held for us: it was seen
 * before it ended, however long nobody looked since (a laptop that was off), and whatever the clock says now.
 * Without a completionTime the age is that of the Task.
 */
export function isExpired(task: Task, nowMs: number, backlogMs: number): boolean {
  if (task.metadata.finalizers?.includes(onCompletionFinalizer)) return false;
  const completedMs = Date.parse(task.status?.completionTime ?? '');
  if (!Number.isNaN(completedMs)) return nowMs - completedMs > backlogMs;
  return nowMs - Date.parse(task.metadata.creationTimestamp) > backlogMs;
}
