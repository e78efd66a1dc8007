/** A binary min-heap of values by due time (any unit, as long as it is one). Ties come out in no fixed order. */
export class DelayHeap<T> {
  readonly #entries: { due: number; value: T }[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** When the first value is due, or undefined when there is none. */
  get nextDue(): number | undefined {
    return this.#entries[0]?.due;
  }

  push(due: number, value: T): void {
    const entries = this.#entries;
    const entry = { due, value };
    let child = entries.push(entry) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = entries[parent];
      if (above === undefined || above.due <= due) break;
      entries[child] = above;
      child = parent;
    }
    entries[child] = entry;
  }

  /** Takes out the first value if it is due at `now`. */
  popDue(now: number): T | undefined {
    const entries = this.#entries;
    const first = entries[0];
    if (first === undefined || first.due > now) return undefined;
    const last = entries.pop();
    if (last !== undefined && entries.length > 0) this.#sink(last);
    return first.value;
  }

  /** Places an entry from the root downwards. */
  #sink(entry: { due: number; value: T }): void {
    const entries = this.#entries;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      let below = entries[child];
      if (below === undefined) break;
      const right = entries[child + 1];
      if (right !== undefined && right.due < below.due) {
        child += 1;
        below = right;
      }
      if (below.due >= entry.due) break;
      entries[hole] = below;
      hole = child;
    }
    entries[hole] = entry;
  }
}
