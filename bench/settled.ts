import { isSettled } from '../src/api/delivery.ts';
import type { ResourceStore } from '../src/store/store.ts';

/** Tells when the Delivery of a Task is settled. */
export class Settled {
  readonly #waiting = new Map<string, () => void>();
  readonly #stopping = new AbortController();

  constructor(store: ResourceStore, resourceVersion: string) {
    void this.#follow(store, resourceVersion);
  }

  of(task: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(task, resolve));
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #follow(store: ResourceStore, resourceVersion: string): Promise<void> {
    const { signal } = this.#stopping;
    for await (const event of store.watch('Delivery', { resourceVersion, signal }))
      if (event.type !== 'BOOKMARK' && isSettled(event.resource))
        this.#waiting.get(event.resource.spec.task.name)?.();
  }
}
