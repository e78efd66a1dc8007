import type { Clock } from '../base/clock.ts';
import { DelayHeap } from '../base/delay-heap.ts';
import { toError } from '../base/errors.ts';

/** What a reconcile may ask for: to be called again for the same key after so many milliseconds. */
export interface Reconciled {
  readonly againAfterMs: number;
}

export interface WorkqueueOptions {
  /**
   * Brings one key to where it should be. Called for one key at a time, for different keys side by side.
   * Throwing means: again after a backoff that doubles from `backoffMs` to `maxBackoffMs`.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Reconciled | undefined>;
  readonly clock: Clock;
  /** How many keys may be under way at once. */
  readonly concurrency: number;
  /** Told of each throw, before the backoff. */
  readonly onError: (key: string, error: Error, backoffMs: number) => void;
  /** First delay after a throw. Default 100 ms. */
  readonly backoffMs?: number;
  /** Longest delay after throws. Default 60 s. */
  readonly maxBackoffMs?: number;
}

/** Stale heap entries that are not worth clearing away. */
const staleAllowance = 128;

/**
 * A queue of keys whose resources want looking at.
 *
 * W1. A key is reconciled by one call at a time.
 * W2. A key added while it is under way is reconciled once more afterwards: no change goes unseen.
 * W3. A key waits in the queue at most once; of several delays the earliest counts.
 * W4. Success forgets the failures of a key.
 */
export class Workqueue {
  readonly #options: WorkqueueOptions;
  /** Ready to be taken, in order of arrival. */
  readonly #ready = new Set<string>();
  readonly #underWay = new Set<string>();
  /** Added while under way (W2). */
  readonly #dirty = new Set<string>();
  readonly #failures = new Map<string, number>();
  /** Due times by the monotonic clock. A heap entry that is not the one in `#dueAt` is stale. */
  #delayed = new DelayHeap<string>();
  readonly #dueAt = new Map<string, number>();
  #timer: { readonly due: number; readonly cancel: () => void } | undefined;
  #signal: AbortSignal | undefined;
  #idle: (() => void) | undefined;

  constructor(options: WorkqueueOptions) {
    this.#options = options;
  }

  /** Keys that wait for their turn now; delayed ones do not count. */
  get depth(): number {
    return this.#ready.size + this.#dirty.size;
  }

  /** What is kept for delays: at most a little over twice the keys that are delayed. */
  get delayed(): number {
    return this.#delayed.size;
  }

  add(key: string): void {
    if (this.#underWay.has(key)) {
      this.#dirty.add(key);
      return;
    }
    this.#ready.add(key);
    this.#take();
  }

  /** Adds the key after `delayMs`, unless it comes up sooner anyway. */
  addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const due = this.#options.clock.monotonic() + delayMs;
    const before = this.#dueAt.get(key);
    if (before !== undefined && before <= due) return;
    this.#dueAt.set(key, due);
    this.#delayed.push(due, key);
    if (this.#delayed.size > 2 * this.#dueAt.size + staleAllowance) this.#dropStale();
    this.#arm();
  }

  /** Works until the signal aborts; resolves when what was under way has ended. Call once. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#take();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#timer?.cancel();
    if (this.#underWay.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #take(): void {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    for (const key of this.#ready) {
      if (this.#underWay.size >= this.#options.concurrency) return;
      this.#ready.delete(key);
      this.#dueAt.delete(key);
      this.#underWay.add(key);
      void this.#work(key, signal);
    }
  }

  async #work(key: string, signal: AbortSignal): Promise<void> {
    let againAfterMs: number | undefined;
    try {
      againAfterMs = (await this.#options.reconcile(key, signal))?.againAfterMs;
      this.#failures.delete(key);
    } catch (thrown) {
      if (!signal.aborted) againAfterMs = this.#failed(key, toError(thrown));
    }
    this.#underWay.delete(key);
    if (againAfterMs !== undefined) this.addAfter(key, againAfterMs);
    if (this.#dirty.delete(key)) this.#ready.add(key);
    this.#take();
    if (this.#underWay.size === 0) this.#idle?.();
  }

  /** Counts a failure and returns the delay before the next try: doubling, with up to 10 % added at random. */
  #failed(key: string, error: Error): number {
    const { backoffMs = 100, maxBackoffMs = 60_000, onError } = this.#options;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delay = Math.min(backoffMs * 2 ** Math.min(failures, 30), maxBackoffMs) * (1 + Math.random() / 10);
    onError(key, error, delay);
    return delay;
  }

  #arm(): void {
    const due = this.#delayed.nextDue;
    if (due === undefined || this.#signal?.aborted) return;
    if (this.#timer !== undefined && this.#timer.due <= due) return;
    this.#timer?.cancel();
    const { clock } = this.#options;
    this.#timer = { due, cancel: clock.after(Math.max(0, due - clock.monotonic()), () => this.#ring()) };
  }

  /** A key that is put off for an hour, a hundred times a second, must not leave an hour's entries behind. */
  #dropStale(): void {
    this.#delayed = new DelayHeap();
    for (const [key, due] of this.#dueAt) this.#delayed.push(due, key);
  }

  #ring(): void {
    this.#timer = undefined;
    const now = this.#options.clock.monotonic();
    for (let due = this.#delayed.nextDue; due !== undefined && due <= now; due = this.#delayed.nextDue) {
      const key = this.#delayed.popDue(now);
      if (key !== undefined && this.#dueAt.get(key) === due) {
        this.#dueAt.delete(key);
        this.add(key);
      }
    }
    this.#arm();
  }
}
