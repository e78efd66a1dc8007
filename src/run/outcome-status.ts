import type { TaskStatus } from '../api/task.ts';
import { clampUtf8, escapeControls, rfc3339 } from '../base/text.ts';
import type { RunEnd, RunOutcome } from './runner.ts';

/** The longest quote of a program's last words in a message, in bytes. */
const maxQuote = 256;

/** The terminal status of a Task whose run has ended: phase, outputs and results in one. */
export function outcomeStatus(outcome: RunOutcome, wasDeleted: boolean): TaskStatus {
  const { end, finishedAt, outputs, results, lastLine } = outcome;
  const succeeded = end.kind === 'exited' && end.code === 0;
  return {
    phase: succeeded ? 'Succeeded' : 'Failed',
    completionTime: rfc3339(finishedAt),
    message: succeeded ? 'Task completed successfully' : failureMessage(end, lastLine, wasDeleted),
    outputs: [...outputs],
    results: { ...results },
  };
}

function failureMessage(end: RunEnd, lastLine: string | undefined, wasDeleted: boolean): string {
  if (end.kind === 'canceled')
    return wasDeleted ? 'Task was deleted while running' : 'Task failed: it was stopped';
  const why = `Task failed: ${endText(end)}`;
  if (lastLine === undefined || end.kind === 'lost' || end.kind === 'notStarted') return why;
  return `${why}: ${clampUtf8(escapeControls(lastLine), maxQuote)}`;
}

function endText(end: RunEnd): string {
  switch (end.kind) {
    case 'exited':
      return `the program exited with status ${end.code}`;
    case 'signaled':
      return `the program was ended by ${end.signal}`;
    case 'deadline':
      return 'the program ran into its activeDeadlineSeconds';
    case 'canceled':
      return 'it was stopped';
    default:
      return end.message;
  }
}
