import type { Secret } from '../api/secret.ts';
import type { Task } from '../api/task.ts';
import type { CapturedOutputs } from './outputs.ts';

/** How the program of a Task ended. */
export type RunOutcome =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: string }
  /** It ran longer than `activeDeadlineSeconds` and was stopped. */
  | { readonly kind: 'deadline' }
  /** Nothing of it ran. The message says what is wrong, where, and what to do. */
  | { readonly kind: 'notStarted'; readonly message: string }
  /** Something else than the program itself or Telos ended it. The message says what. */
  | { readonly kind: 'stopped'; readonly message: string }
  /** It ran, but nobody knows how it ended. The message says what happened. */
  | { readonly kind: 'lost'; readonly message: string };

/** All that is known of a run that is over. */
export interface RunRecord extends CapturedOutputs {
  readonly outcome: RunOutcome;
  /** Whether it was asked to stop (see `Run.cancel`) before it ended. */
  readonly cancelled: boolean;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
  readonly finishedAt: number;
  /** The last thing the program said, in one short line without control characters; '' when it said nothing. */
  readonly lastLine: string;
  /** The Pod it ran in, where there is such. */
  readonly podName?: string | undefined;
  /** Why nobody knows what it said, when that is so; one line. */
  readonly outputsFault?: string | undefined;
}

/** How far a run has come that is not over. */
export interface RunProgress {
  /** When its program began, as wall time in milliseconds; undefined while that is still to come. */
  readonly startedAt: number | undefined;
  /** The Job and the Pod that it runs in, where there are such. */
  readonly jobName?: string | undefined;
  readonly podName?: string | undefined;
  /** What keeps its program from beginning; one line. */
  readonly heldUp?: string | undefined;
}

/** One run of one Task, under way or over. */
export interface Run {
  readonly progress: RunProgress;
  /** Whether nothing of it runs any more, although what is to be known of its end may not be known yet. */
  readonly isOver: boolean;
  /** Has a change of `progress` told, from now on. For one listener. */
  onProgress(tell: () => void): void;
  /** Resolves when nothing of it runs any more. @throws the signal's reason when it aborts first. */
  ended(signal: AbortSignal): Promise<RunRecord>;
  /** Asks it to stop, and forces it a grace time later. Returns at once; asking again changes nothing. */
  cancel(): void;
}

export interface RunRequest {
  readonly task: Task;
  /** The prompt to use: that of the Task, with what its dependencies gave filled in. */
  readonly prompt: string;
  /** A Secret of the Task's namespace; undefined when there is none of that name. */
  readonly readSecret: (name: string) => Promise<Secret | undefined>;
}

export type StartResult =
  | { readonly kind: 'started'; readonly run: Run }
  /** This runner can never run such a Task. One line: what, where, what to do. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Something is missing that may still come (a Secret), or comes by itself (`soon`). One line that says what. */
  | { readonly kind: 'waiting'; readonly message: string; readonly soon?: boolean };

/**
 * The way Tasks are run: as processes of this machine, or elsewhere. Runs outlive the engine that started them
 * and are found again by the uid of their Task.
 *
 * N1. A uid is started at most once: whoever is not sure asks `find` first.
 * N2. Once `start` has resolved with `started`, every later `find` knows the run, also after kill -9 of the
 *     engine, until it is forgotten.
 * N3. A `start` that rejects, or dies with the engine, either ran nothing (and `find` says so) or is found.
 */
export interface Runner {
  /**
   * Whether all that is left of a run goes with its Task by itself: a Task that has ended is not held then, and one
   * that an operator gives up need not wait for its run.
   */
  readonly goesWithTask: boolean;
  /** @throws when the machine cannot run it now; trying later may help. */
  start(request: RunRequest, signal: AbortSignal): Promise<StartResult>;
  /** The run of a Task, whoever started it; undefined when nothing of it has ever run. */
  find(uid: string, signal: AbortSignal): Promise<Run | undefined>;
  /** Removes all that is kept of a run that is over: log, record, working folder. Nothing there is fine. */
  forget(uid: string): Promise<void>;
  /** The uids of all Tasks of whose runs something is kept that nobody else clears up. */
  list(): Promise<readonly string[]>;
  /** Whether it knows all runs that there are; `find` waits for that. */
  readonly isSynced: boolean;
  /** Resolves when it does. @throws the signal's reason when it aborts first. */
  synced(signal: AbortSignal): Promise<void>;
  /** Follows what it runs until the signal aborts. Whoever starts or finds runs has this called, once, meanwhile. */
  follow(signal: AbortSignal): Promise<void>;
}
