import type { Payload } from '../api/delivery.ts';
import { type CelProgram, compileCel } from '../base/cel.ts';
import { TimeLimit, TimeLimitError } from '../base/time-limit.ts';
import { wholePayload } from './payload.ts';

const maxCompiled = 256;

/** Far more than any honest filter takes; while one runs, nothing else does. Milliseconds. */
const limitMs = 200;

interface Filter {
  readonly program: CelProgram;
  /** What it failed of when it took too long: it is not begun again. */
  tooSlow: TimeLimitError | undefined;
}

/** Filters of hooks, each compiled once and bounded in time. */
export class Filters {
  readonly #filters = new Map<string, Filter>();
  readonly #limit = new TimeLimit(limitMs);

  /**
   * The value of the expression over the payload, as `task`. Keys that a payload leaves out when empty are
   * there, empty, so that `task.results` never fails.
   * @throws CelError; TimeLimitError for an expression that took too long, twice in a row or once before
   */
  evaluate(expression: string, payload: Payload): unknown {
    const filter = this.#filter(expression);
    if (filter.tooSlow !== undefined) throw filter.tooSlow;
    const evaluate = (): unknown => filter.program.evaluate({ task: wholePayload(payload) });
    // Only calls can multiply what is there.
    if (!expression.includes('(')) return evaluate();
    try {
      return this.#limitedTwice(evaluate);
    } catch (thrown) {
      if (thrown instanceof TimeLimitError) filter.tooSlow = thrown;
      throw thrown;
    }
  }

  #filter(expression: string): Filter {
    let filter = this.#filters.get(expression);
    if (filter === undefined) {
      filter = { program: compileCel(expression), tooSlow: undefined };
      if (this.#filters.size >= maxCompiled) this.#filters.clear();
      this.#filters.set(expression, filter);
    }
    return filter;
  }

  /** Twice, because it is wall time: a machine may have slept just then. */
  #limitedTwice<T>(work: () => T): T {
    try {
      return this.#limit.run(work);
    } catch (thrown) {
      if (!(thrown instanceof TimeLimitError)) throw thrown;
      return this.#limit.run(work);
    }
  }
}
