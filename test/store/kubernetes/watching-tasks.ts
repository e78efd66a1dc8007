import { systemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { Informer, kindSource } from '../../../src/store/informer.ts';
import type { ResourceStore } from '../../../src/store/store.ts';

/** An informer of the phases of a namespace's Tasks, by name. */
export class WatchedPhases {
  readonly phases = new Map<string, string>();
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  readonly #synced: Promise<void>;
  readonly #waiting = new Set<() => void>();

  constructor(store: ResourceStore, namespace: string) {
    const informer = new Informer(kindSource('Task', store), {
      namespaces: [namespace],
      clock: systemClock,
      log: silentLogger,
    });
    informer.view({
      select: (task) => task.status?.phase ?? 'none',
      onChange: ({ key, now }) => {
        if (now === undefined) this.phases.delete(key.name);
        else this.phases.set(key.name, now);
        for (const look of this.#waiting) look();
      },
    });
    this.#running = informer.run(this.#ended.signal);
    this.#synced = informer.synced(this.#ended.signal);
  }

  synced(): Promise<void> {
    return this.#synced;
  }

  /** Resolves when so many Tasks are seen in a phase. */
  until(phase: string, count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if ([...this.phases.values()].filter((seen) => seen === phase).length !== count) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }
}
