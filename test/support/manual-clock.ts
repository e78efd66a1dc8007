import type { Clock } from '../../src/base/clock.ts';

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #wall: number;
  #monotonic = 0;
  readonly #timers = new Set<{ due: number; fire: () => void }>();

  constructor(start: string | number = '2026-01-02T03:04:05Z') {
    this.#wall = new Date(start).getTime();
  }

  /** Whole milliseconds, as Date.now() gives them, whatever fraction a timer was set for. */
  now(): number {
    return Math.floor(this.#wall);
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(delayMs: number, fire: () => void): () => void {
    const timer = { due: this.#monotonic + Math.max(0, delayMs), fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** When the next timer fires, in milliseconds from now; undefined when none is set. */
  get nextTimerMs(): number | undefined {
    const dues = [...this.#timers].map((timer) => timer.due);
    return dues.length === 0 ? undefined : Math.min(...dues) - this.#monotonic;
  }

  /** Moves both times on, firing what falls due on the way, in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#monotonic + ms;
    for (;;) {
      const next = [...this.#timers].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#moveTo(next.due);
      next.fire();
    }
    this.#moveTo(end);
  }

  /** Moves the wall clock only, as NTP or a person does. */
  setWall(time: string | number): void {
    this.#wall = new Date(time).getTime();
  }

  #moveTo(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }
}
