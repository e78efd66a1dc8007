import type { Task } from '../../api/task.ts';

/** What a look at a log brought. */
export type LogCopy = { readonly kind: 'copied' } | NoLog;

/** Why there is nothing to read. */
export interface NoLog {
  readonly kind: 'none';
  /** As the first words of an error. */
  readonly what: string;
  /** What helps where waiting does not. */
  readonly remedy?: string;
}

/** What the program of a Task prints, wherever that is kept. */
export interface TaskLog {
  /** How often it is worth looking again, in milliseconds. */
  readonly lookMs: number;
  /**
   * Copies to stdout what is there and was not copied yet. Where `follow` is set it may wait for more, for a while at
   * most: ask until the Task has ended, and then once more without it. `task`: as it is now, or was when it was last seen.
   * @throws StoreError `Unavailable` when it breaks off; the next call goes on there
   */
  copy(task: Task, follow: boolean): Promise<LogCopy>;
  close(): Promise<void>;
}
