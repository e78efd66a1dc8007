import type { Task } from '../api/task.ts';

/** Reads one key of a Secret of the Task's namespace; undefined when it is not there. */
export type ReadSecret = (name: string, key: string) => Promise<string | undefined>;

/** What a run needs besides the Task. */
export interface RunInput {
  /** The prompt, rendered if it is a template over dependencies. */
  readonly prompt: string;
  readonly readSecret: ReadSecret;
}

/** Whether a run was begun. What goes wrong once it was is told by its outcome. */
export type Started =
  | { readonly kind: 'started' }
  /** This Task can never run here: why, with the field's path and the remedy. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Something that it names is not there yet. */
  | { readonly kind: 'waiting'; readonly message: string };

/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: string }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'canceled' }
  /** The program could not be started; the message says what, where and the remedy. */
  | { readonly kind: 'notStarted'; readonly message: string }
  /** Nobody saw how it ended. */
  | { readonly kind: 'lost'; readonly message: string };

export interface RunOutcome {
  readonly end: RunEnd;
  /** Epoch milliseconds. */
  readonly finishedAt: number;
  /** What the program printed between the output markers. Agent-controlled text. */
  readonly outputs: readonly string[];
  readonly results: Readonly<Record<string, string>>;
  /** The last line that it printed, for people. Agent-controlled text. */
  readonly lastLine: string | undefined;
}

/**
 * What runs Tasks: child processes on this machine, or something else later. Runs outlive whoever started them:
 * a new engine finds them by the Task's uid.
 */
export interface Runner {
  /** Whether there is a run of this Task, under way or ended, started by this process or an earlier one. */
  has(uid: string): Promise<boolean>;
  /** Starts the run of a Task; one that is there already goes on, and there is no second. */
  start(task: Task, input: RunInput): Promise<Started>;
  /** Waits for the end. @throws the signal's reason when it aborts first; the run goes on */
  outcome(uid: string, signal: AbortSignal): Promise<RunOutcome>;
  /** Asks a run to end: TERM, after a grace KILL. The outcome tells when it has. */
  cancel(uid: string): Promise<void>;
  /** Removes what is kept of an ended run, its log among it. */
  forget(uid: string): Promise<void>;
  /** The Tasks of all runs that something is kept of. */
  list(): AsyncIterable<{ readonly uid: string; readonly namespace: string; readonly name: string }>;
}
