import type { Payload } from '../api/delivery.ts';
import { type CelProgram, compileCel } from '../base/cel.ts';
import { TimeLimit, TimeLimitError } from '../base/time-limit.ts';
import { wholePayload } from './payload.ts';

const maxCompiled = 256;

/** Far more than any honest filter takes; while one runs, nothing else does. Milliseconds. */
const limitMs = 100;

interface Filter {
  readonly program: CelProgram;
  /** The smallest payload that it took too long over, in UTF-16 units of JSON: over none as big it is begun again. */
  tooSlowFrom: number;
}

/** Filters of hooks, each compiled once and bounded in time. */
export class Filters {
  readonly #filters = new Map<string, Filter>();
  readonly #limit = new TimeLimit(limitMs);

  /**
   * The value of the expression over the payload, as `task`. Keys that a payload leaves out when empty are
   * there, empty, so that `task.results` never fails.
   * @throws CelError; TimeLimitError for an expression that takes too long over this payload, twice in a row, or
   * did so over a smaller one
   */
  evaluate(expression: string, payload: Payload): unknown {
    const filter = this.#filter(expression);
    const evaluate = (): unknown => filter.program.evaluate({ task: wholePayload(payload) });
    // Only calls can multiply what is there.
    if (!expression.includes('(')) return evaluate();
    const isKnownSlow = Number.isFinite(filter.tooSlowFrom) && sizeOf(payload) >= filter.tooSlowFrom;
    if (isKnownSlow) throw new TimeLimitError(limitMs);
    try {
      return this.#limitedTwice(evaluate);
    } catch (thrown) {
      if (thrown instanceof TimeLimitError) filter.tooSlowFrom = sizeOf(payload);
      throw thrown;
    }
  }

  #filter(expression: string): Filter {
    let filter = this.#filters.get(expression);
    if (filter === undefined) {
      filter = { program: compileCel(expression), tooSlowFrom: Number.POSITIVE_INFINITY };
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

function sizeOf(payload: Payload): number {
  return JSON.stringify(payload).length;
}
