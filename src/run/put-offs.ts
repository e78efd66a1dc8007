import type { Clock } from '../base/clock.ts';

/**
 * Tasks that cannot be started now and are tried again later. That one waits is written into it, and what is written
 * is seen: without this, each try would bring about the next.
 */
export class PutOffs {
  readonly #clock: Clock;
  /** By key of the Task; due times by the monotonic clock. */
  readonly #tasks = new Map<string, { readonly uid: string; readonly due: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(key: string, uid: string, delayMs: number): void {
    this.#tasks.set(key, { uid, due: this.#clock.monotonic() + delayMs });
  }

  /** How long the Task still waits for its next try, in milliseconds; 0 when it may be tried now. */
  leftMs(key: string, uid: string): number {
    const task = this.#tasks.get(key);
    if (task?.uid === uid) {
      const left = task.due - this.#clock.monotonic();
      if (left > 0) return left;
    }
    this.#tasks.delete(key);
    return 0;
  }

  /** There is no such Task any more, or it has ended. */
  forget(key: string): void {
    this.#tasks.delete(key);
  }
}
