import type { Task } from '../../api/task.ts';

/** What the program of a Task prints, wherever that is kept. */
export interface TaskLog {
  /** How often it is worth looking again, in milliseconds. */
  readonly lookMs: number;
  /**
   * Copies to stdout what is there and was not copied yet; where `follow` is set, it may go on until the program of
   * this moment has ended. False when there is nothing to read. `task`: as it is now; undefined: it is gone.
   */
  copy(task: Task | undefined, follow: boolean): Promise<boolean>;
  close(): Promise<void>;
}
