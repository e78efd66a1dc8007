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
  const { startedAt, finishedAt, outputs, results, outputsLeftOut, outcome } = record;
  const ran = outcome.kind !== 'notStarted';
  const succeeded = outcome.kind === 'exited' && outcome.code === 0 && !(deleting && record.cancelled);
  return {
    phase: succeeded ? 'Succeeded' : 'Failed',
    reason: succeeded ? 'TaskSucceeded' : 'TaskFailed',
    message: succeeded ? 'Task completed successfully' : failureText(record, deleting),
    startedAt: ran ? startedAt : undefined,
    finishedAt,
    outputs,
    results,
    outputsLeftOut,
  };
}

function failureText({ outcome, cancelled, lastLine }: RunRecord, deleting: boolean): string {
  if (deleting && cancelled) return 'Task was deleted while running';
  const said = lastLine !== '' && (outcome.kind === 'exited' || outcome.kind === 'signaled');
  return `Task failed: ${outcomeText(outcome)}${said ? `: ${lastLine}` : ''}`;
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
    case 'lost':
      return outcome.message;
  }
}
