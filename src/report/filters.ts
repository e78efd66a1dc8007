import type { Payload } from '../api/delivery.ts';
import { type CelProgram, compileCel } from '../base/cel.ts';
import { wholePayload } from './payload.ts';

const maxCompiled = 256;

/** Filters of hooks, each compiled once. */
export class Filters {
  readonly #programs = new Map<string, CelProgram>();

  /**
   * The value of the expression over the payload, as `task`. Keys that a payload leaves out when empty are
   * there, empty, so that `task.results` never fails.
   * @throws CelError
   */
  evaluate(expression: string, payload: Payload): unknown {
    let program = this.#programs.get(expression);
    if (program === undefined) {
      program = compileCel(expression);
      if (this.#programs.size >= maxCompiled) this.#programs.clear();
      this.#programs.set(expression, program);
    }
    return program.evaluate({ task: wholePayload(payload) });
  }
}
