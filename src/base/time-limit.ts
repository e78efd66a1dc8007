import { type Context, createContext, Script } from 'node:vm';
import { TelosError } from './errors.ts';

/** Synchronous work took longer than it was given. */
export class TimeLimitError extends TelosError {
  constructor(limitMs: number) {
    super('TimeLimit', `takes longer than ${limitMs} ms`);
  }
}

/**
 * Runs synchronous work of which nobody knows how long it takes, and stops it when its time is over. It is stopped
 * wherever it is, so it must leave nothing behind that matters. Costs some 100 µs a call.
 */
export class TimeLimit {
  readonly #limitMs: number;
  readonly #context: Context = createContext({});
  readonly #script = new Script('work()');

  /** `limitMs` is wall time, in milliseconds. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** @throws TimeLimitError, or what the work throws */
  run<T>(work: () => T): T {
    this.#context['work'] = work;
    try {
      return this.#script.runInContext(this.#context, { timeout: this.#limitMs }) as T;
    } catch (thrown) {
      // Made in no realm's name: what it is an instance of says nothing.
      const { code } = thrown as { readonly code?: unknown };
      throw code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? new TimeLimitError(this.#limitMs) : thrown;
    } finally {
      this.#context['work'] = undefined;
    }
  }
}
