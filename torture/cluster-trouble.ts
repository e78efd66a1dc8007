import { setTimeout as delay } from 'node:timers/promises';
import type { ResourceStore } from '../src/store/store.ts';
import type { ControlPlane } from '../test/cluster/kit/control-plane.ts';
import type { Gate } from './gate.ts';
import { Random } from './random.ts';
import type { Trouble } from './stand.ts';
import type { TroubledWay } from './troubled-way.ts';

const tasks = 'kelos.dev/v1alpha2/tasks';
/** So often all connections of engines are cut. Real milliseconds, like all here. */
const cutMs = 1_000;
/** How long each watch is told that its version is too old. */
const forgetMs = 4_000;
/** How long the API server stays away. */
const awayMs = 1_000;
/** How long it may be well between two of the great troubles, and half as long as etcd freezes besides. */
const longestCalmMs = 1_000;
/** Of the newest Tasks, so many are written to by somebody else all the time. */
const stormed = 20;
const stormPauseMs = 5;

export interface ClusterTroubleOptions {
  readonly plane: ControlPlane;
  readonly way: TroubledWay;
  /** What keeps others from asking an API server that is in trouble. */
  readonly gate: Gate;
  /** To see whether it is well again. */
  readonly store: ResourceStore;
  readonly seed: string;
  /** How long etcd is frozen. */
  readonly freezeMs: number;
  /** Called now and then, while the API server is well. */
  readonly renew: () => Promise<void>;
}

/**
 * What happens to a cluster: its API server is killed, etcd freezes, the API server forgets the past, connections
 * break, and somebody else writes to the same Tasks.
 */
export class ClusterTrouble implements Trouble {
  readonly #options: ClusterTroubleOptions;
  readonly #random: Random;
  readonly #counts = { killed: 0, frozen: 0, cuts: 0, storm: 0 };
  /** Names of Tasks, the newest last. */
  readonly #newest = new Set<string>();
  readonly #running: Promise<unknown>[] = [];
  #stopping = false;

  constructor(options: ClusterTroubleOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, 'trouble');
  }

  get counts(): Readonly<Record<string, number>> {
    const { killed, frozen, cuts, storm } = this.#counts;
    return {
      'API server killed': killed,
      [`etcd frozen for ${this.#options.freezeMs / 1000} s`]: frozen,
      'connections cut': cuts,
      'watches told 410': this.#options.way.forgotten,
      'writes of somebody else to the same Tasks': storm,
    };
  }

  /** A Task that somebody else will write to. */
  created(name: string): void {
    this.#newest.add(name);
    for (const oldest of this.#newest) {
      if (this.#newest.size <= stormed) break;
      this.#newest.delete(oldest);
    }
  }

  undisturbed<T>(work: () => Promise<T>): Promise<T> {
    return this.#options.gate.pass(work);
  }

  begin(): void {
    this.#running.push(this.#cycle(), this.#cut(), this.#storm());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  /** The great ones, one after another; all of them before it ends. */
  async #cycle(): Promise<void> {
    do {
      for (const happens of [() => this.#kill(), () => this.#forget(), () => this.#freeze()]) {
        await delay(this.#random.between(1_000, longestCalmMs + this.#options.freezeMs / 2));
        await happens();
      }
      await this.undisturbed(this.#options.renew);
    } while (!this.#stopping);
  }

  #kill(): Promise<void> {
    const { gate, plane, store } = this.#options;
    return gate.closed(async () => {
      await plane.killApiServer();
      await delay(awayMs);
      await plane.startApiServer();
      await untilWell(store);
      this.#counts.killed += 1;
    });
  }

  #freeze(): Promise<void> {
    const { gate, plane, store, freezeMs } = this.#options;
    return gate.closed(async () => {
      plane.pauseEtcd();
      await delay(freezeMs);
      plane.resumeEtcd();
      await untilWell(store);
      this.#counts.frozen += 1;
    });
  }

  async #forget(): Promise<void> {
    const { way } = this.#options;
    way.forgetful = true;
    // Only those that begin anew ask.
    this.#counts.cuts += way.cut();
    await delay(forgetMs);
    way.forgetful = false;
  }

  async #cut(): Promise<void> {
    while (!this.#stopping) {
      await delay(cutMs);
      this.#counts.cuts += this.#options.way.cut();
    }
  }

  async #storm(): Promise<void> {
    const { admin } = this.#options.plane;
    for (let n = 0; !this.#stopping; n += 1) {
      for (const name of [...this.#newest]) {
        const mark = { 'torture.invalid/storm': String(n) };
        const metadata = n % 2 === 0 ? { annotations: mark } : { labels: mark };
        await admin.patch(tasks, { namespace: 'default', name }, { metadata }).then(
          () => {
            this.#counts.storm += 1;
          },
          () => {
            // It is gone, or the API server is away: there are others, and other times.
          },
        );
        await delay(stormPauseMs);
      }
      await delay(stormPauseMs);
    }
  }
}

/** Resolves when our kinds can be read: an API server that has just begun says ready before it knows them. */
export async function untilWell(store: ResourceStore): Promise<void> {
  for (;;) {
    try {
      for (const kind of ['Task', 'Delivery', 'Secret'] as const) await store.list(kind, { limit: 1 });
      return;
    } catch {
      await delay(100);
    }
  }
}
