import type { State } from './state.ts';

/** Bigger ones are not kept: one would push out thousands. */
const maxSize = 65_536;

/** The states last read or written, by version: a version never changes, so an entry is never wrong. */
export class StateCache {
  readonly #maxTotal: number;
  readonly #states = new Map<number, State>();
  #total = 0;

  /** `maxTotal`: UTF-16 units of JSON that are kept at most; parsed, they take a few times as much. */
  constructor(maxTotal: number) {
    this.#maxTotal = maxTotal;
  }

  get(rv: number): State | undefined {
    return this.#states.get(rv);
  }

  put(state: State): void {
    const { rv, json } = state;
    if (json.length > maxSize || this.#states.has(rv)) return;
    this.#states.set(rv, state);
    this.#total += json.length;
    // The first in the map came in first. What is superseded is dropped anyway, so that is nearly the one used last.
    for (const oldest of this.#states.keys()) {
      if (this.#total <= this.#maxTotal) return;
      this.drop(oldest);
    }
  }

  drop(rv: number): void {
    const state = this.#states.get(rv);
    if (state === undefined) return;
    this.#states.delete(rv);
    this.#total -= state.json.length;
  }
}
