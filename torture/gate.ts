/** Lets calls pass while it is open. Whoever closes it has nobody's call under way. */
export class Gate {
  #underWay = 0;
  #onEmpty: (() => void) | undefined;
  #opened: Promise<void> | undefined;

  /** Makes a call as soon as the gate is open. */
  async pass<T>(call: () => Promise<T>): Promise<T> {
    while (this.#opened !== undefined) await this.#opened;
    this.#underWay += 1;
    try {
      return await call();
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onEmpty?.();
    }
  }

  /** Closes it, waits for the calls that are under way, and opens it again after the work. One at a time. */
  async closed(work: () => Promise<void>): Promise<void> {
    let open: () => void = () => {};
    this.#opened = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.#underWay > 0)
        await new Promise<void>((resolve) => {
          this.#onEmpty = resolve;
        });
      await work();
    } finally {
      this.#onEmpty = undefined;
      this.#opened = undefined;
      open();
    }
  }
}
