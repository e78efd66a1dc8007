import type { Delivery } from '../../api/delivery.ts';
import { isSettled } from '../../api/delivery.ts';
import type { Kind, Resource } from '../../api/kinds.ts';
import { type Task, terminalPhase } from '../../api/task.ts';
import type { ResourceStore } from '../../store/store.ts';

/** Everything that the demo has seen happen in the store, by watching it. */
export class Ledger {
  readonly tasks = new Map<string, Task>();
  readonly deliveries = new Map<string, Delivery>();
  /** When a Task was first seen in its terminal phase, by the monotonic clock in milliseconds. */
  readonly endedAt = new Map<string, number>();
  /** The most Tasks ever seen Running at once. */
  mostRunning = 0;
  readonly #onChange: (resource: Task | Delivery) => void;
  #wake: () => void = () => {};

  constructor(onChange: (resource: Task | Delivery) => void) {
    this.#onChange = onChange;
  }

  /** Watches until the signal aborts. */
  async follow(store: ResourceStore, signal: AbortSignal): Promise<void> {
    await Promise.all([
      watchAll(store, 'Task', signal, (task) => this.#sawTask(task)),
      watchAll(store, 'Delivery', signal, (delivery) => this.#sawDelivery(delivery)),
    ]);
  }

  /** Resolves when the condition holds, looked at after each change. @throws the signal's reason when it aborts first. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort);
    try {
      while (!condition()) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Whether `count` Tasks have ended and each of them has all its Deliveries settled. */
  isComplete(count: number): boolean {
    if (this.endedAt.size < count) return false;
    const expected = [...this.tasks.values()].reduce((sum, task) => sum + hooksOf(task), 0);
    const settled = [...this.deliveries.values()].filter(isSettled).length;
    return settled >= expected;
  }

  #sawTask(task: Task): void {
    const { name } = task.metadata;
    this.tasks.set(name, task);
    if (terminalPhase(task) !== undefined && !this.endedAt.has(name))
      this.endedAt.set(name, performance.now());
    const running = [...this.tasks.values()].filter((other) => other.status?.phase === 'Running').length;
    this.mostRunning = Math.max(this.mostRunning, running);
    this.#changed(task);
  }

  #sawDelivery(delivery: Delivery): void {
    this.deliveries.set(delivery.metadata.name, delivery);
    this.#changed(delivery);
  }

  #changed(resource: Task | Delivery): void {
    this.#onChange(resource);
    this.#wake();
  }
}

/** How many of the demo's hooks a Task has to tell: audit and metadata always, pager when it failed. */
function hooksOf(task: Task): number {
  return terminalPhase(task) === 'Failed' ? 3 : 2;
}

async function watchAll<K extends Kind>(
  store: ResourceStore,
  kind: K,
  signal: AbortSignal,
  saw: (resource: Resource<K>) => void,
): Promise<void> {
  const { items, resourceVersion } = await store.list(kind, { signal });
  items.forEach(saw);
  try {
    for await (const event of store.watch(kind, { resourceVersion, signal })) {
      if (event.type === 'ADDED' || event.type === 'MODIFIED') saw(event.resource);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
