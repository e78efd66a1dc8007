import type { Clock } from '../base/clock.ts';

/** The time for an exchange is up: told apart from the caller's own abort. */
export class TimedOut extends Error {}

/**
 * How long one exchange may take: until its time is up, or its caller gives up. A signal in small, because there
 * is one for every exchange and making a signal costs more than all the rest of this.
 */
export class Patience {
  readonly #caller: AbortSignal;
  readonly #clock: Clock;
  /** Monotonic milliseconds. */
  readonly #until: number;
  readonly #cancelTimer: () => void;
  readonly #onAbort = (): void => this.#end(this.#caller.reason);
  #reason: unknown;
  #isOver = false;
  #listener: ((reason: unknown) => void) | undefined;
  #controller: AbortController | undefined;

  constructor(timeoutMs: number, caller: AbortSignal, clock: Clock) {
    this.#caller = caller;
    this.#clock = clock;
    this.#until = clock.monotonic() + timeoutMs;
    caller.addEventListener('abort', this.#onAbort, { once: true });
    this.#cancelTimer = clock.after(timeoutMs, () => this.#end(new TimedOut()));
  }

  /** What is left of the time, in milliseconds; never below 0. */
  get leftMs(): number {
    return Math.max(0, this.#until - this.#clock.monotonic());
  }

  /** The same as a signal, for waits that want one. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isOver) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Calls back when it is over, at once if it is already. One listens at a time; undefined stops listening. */
  set listener(listener: ((reason: unknown) => void) | undefined) {
    this.#listener = listener;
    if (this.#isOver) listener?.(this.#reason);
  }

  /** Must be called when the exchange has ended, well or not. */
  dispose(): void {
    this.#cancelTimer();
    this.#caller.removeEventListener('abort', this.#onAbort);
    this.#listener = undefined;
  }

  #end(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reason = reason;
    this.#listener?.(reason);
    this.#controller?.abort(reason);
  }
}
