import type { TerminalPhase } from '../api/hook.ts';
import type { RunOutcome, RunRecord } from './runner.ts';

/** How a Task ended: all of it is written at once. */
export interface Completion {
  readonly phase: TerminalPhase;
  readonly message: string;
  /** Reason of the Event that tells of it. */
  readonly reason: 'TaskSucceeded' | 'TaskFailed' | 'DependencyFailed';
  /** Absent when nothing ran. Wall time in milliseconds. */
  readonly startedAt?: number | undefined;
  /** Absent: now. Wall time in milliseconds. */
  readonly finishedAt?: number | undefined;
  /** The Pod it ran in, where there is such. */
  readonly podName?: string | undefined;
  readonly outputs: readonly string[];
  readonly results: Readonly<Record<string, string>>;
  readonly outputsLeftOut: number;
}

/** A Task that ends without ever having run. */
export function failure(message: string, reason: Completion['reason'] = 'TaskFailed'): Completion {
  return { phase: 'Failed', message, reason, outputs: [], results: {}, outputsLeftOut: 0 };
}

/** What the end of a run means for its Task. `deleting`: whether the Task is being deleted. */
export function completionOf(record: RunRecord, deleting: boolean): Completion {
  const { startedAt, finishedAt, podName, outputs, results, outputsLeftOut, outcome } = record;
  const ran = outcome.kind !== 'notStarted';
  const succeeded = outcome.kind === 'exited' && outcome.code === 0 && !(deleting && record.cancelled);
  return {
    phase: succeeded ? 'Succeeded' : 'Failed',
    reason: succeeded ? 'TaskSucceeded' : 'TaskFailed',
    message: succeeded ? successText(record) : failureText(record, deleting),
    startedAt: ran ? startedAt : undefined,
    finishedAt,
    podName,
    outputs,
    results,
    outputsLeftOut,
  };
}

function successText({ outputsFault }: RunRecord): string {
  const but = outputsFault === undefined ? '' : `, but its outputs could not be read: ${outputsFault}`;
  return `Task completed successfully${but}`;
}

function failureText({ outcome, cancelled, lastLine, outputsFault }: RunRecord, deleting: boolean): string {
  if (deleting && cancelled) return 'Task was deleted while running';
  const hasSaid = lastLine !== '' && ['exited', 'signaled', 'stopped'].includes(outcome.kind);
  const said = hasSaid ? `: ${lastLine}` : '';
  const unread = outputsFault === undefined ? '' : ` (its outputs could not be read: ${outputsFault})`;
  return `Task failed: ${outcomeText(outcome)}${said}${unread}`;
}

function outcomeText(outcome: RunOutcome): string {
  switch (outcome.kind) {
    case 'exited':
      return `program exited with status ${outcome.code}`;
    case 'signaled':
      return `program was killed by ${outcome.signal}`;
    case 'deadline':
      return 'program ran longer than its activeDeadlineSeconds and was stopped';
    case 'notStarted':
    case 'stopped':
    case 'lost':
      return outcome.message;
  }
}
