import { setMaxListeners } from 'node:events';
import type { Clock } from '../../base/clock.ts';
import { StoreError } from '../errors.ts';

/** A moment by both clocks of this machine, in milliseconds. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

export function momentOf(clock: Clock): Moment {
  return { monotonic: clock.monotonic(), wall: clock.now() };
}

/**
 * How long ago a moment was, by the clock that says longer: a monotonic clock may stand still while the machine
 * sleeps, and a wall clock may be set back.
 */
export function elapsedMs(since: Moment, now: Moment): number {
  return Math.max(now.monotonic - since.monotonic, now.wall - since.wall);
}

/** The right to work for now, as whoever works sees it. */
export interface Tenure {
  /** Aborts when it is over: what is under way ends at once. */
  readonly signal: AbortSignal;
  /**
   * Called right before anything is sent or written: a process that stood still wakes long after its timers were due.
   * @throws StoreError `Unavailable` when it is over
   */
  check(): void;
}

/**
 * The right to work on what a Lease stands for, until so long after its last renewal was begun. It ends by itself:
 * nothing has to be asked, and once over it never comes back.
 */
export class LeaseTenure implements Tenure {
  readonly #what: string;
  readonly #clock: Clock;
  readonly #termMs: number;
  readonly #over = new AbortController();
  #renewed: Moment;
  #cancelTimer: () => void = () => {};

  /** `begun`: the moment before the write that took the Lease. */
  constructor(what: string, clock: Clock, termMs: number, begun: Moment) {
    this.#what = what;
    this.#clock = clock;
    this.#termMs = termMs;
    this.#renewed = begun;
    setMaxListeners(0, this.#over.signal);
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether it goes on. */
  get isHeld(): boolean {
    if (this.#over.signal.aborted) return false;
    if (elapsedMs(this.#renewed, momentOf(this.#clock)) < this.#termMs) return true;
    this.end('its Lease could not be renewed in time');
    return false;
  }

  check(): void {
    if (!this.isHeld) throw toStoreError(this.signal.reason);
  }

  /** Extends it from the moment before a write that renewed the Lease; one that came back too late extends nothing. */
  renew(begun: Moment): void {
    if (!this.isHeld) return;
    this.#renewed = begun;
    this.#arm();
  }

  /** Ends it now. */
  end(why: string): void {
    this.#cancelTimer();
    if (!this.signal.aborted) this.#over.abort(new StoreError('Unavailable', `${this.#what}: ${why}`));
  }

  #arm(): void {
    this.#cancelTimer();
    const leftMs = this.#termMs - elapsedMs(this.#renewed, momentOf(this.#clock));
    // A wall clock that was set back is no reason to go on: only then is it armed again.
    this.#cancelTimer = this.#clock.after(Math.max(0, leftMs), () => this.isHeld && this.#arm());
  }
}

function toStoreError(reason: unknown): StoreError {
  return reason instanceof StoreError ? reason : new StoreError('Unavailable', 'this work is over');
}
