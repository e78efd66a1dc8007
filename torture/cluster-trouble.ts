import { setTimeout as delay } from 'node:timers/promises';
import type { Key, ResourceStore } from '../src/store/store.ts';
import type { ControlPlane } from '../test/cluster/kit/control-plane.ts';
import type { AnyObject } from '../test/cluster/kit/kube-object.ts';
import type { Gate } from './gate.ts';
import { namespaces } from './plan.ts';
import { Random } from './random.ts';
import { secretDraft, secrets } from './roles.ts';
import type { Trouble } from './stand.ts';
import type { TroubledWay } from './troubled-way.ts';

const tasks = 'kelos.dev/v1alpha2/tasks';
/** So often all connections of engines are cut. Real milliseconds, like all here. */
const cutMs = 1_000;
/** How long each watch is told that its version is too old. */
const forgetMs = 4_000;
/** How long the API server stays away. */
const awayMs = 1_000;
/** How long rights are gone: longer than a Lease lasts. */
const forbiddenMs = 3_000;
/** How long one engine is cut off: about as long as a Lease lasts, so that some come back before others take over. */
const shortestCutOffMs = 1_000;
const longestCutOffMs = 4_500;
/** How long a Secret is another one, and then how long it is gone. */
const secretMs = 1_000;
/** Where the rights of Telos's ServiceAccount are, as `telos manifests` has them. */
const rights = {
  work: { collection: 'rbac.authorization.k8s.io/v1/clusterroles', key: { name: 'telos' } },
  leases: {
    collection: 'rbac.authorization.k8s.io/v1/roles',
    key: { namespace: 'telos-system', name: 'telos-leases' },
  },
};
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
 * What happens to a cluster: its API server is killed, etcd freezes, the API server forgets the past, rights and Secrets
 * are taken away and given back, engines are cut off, connections break, and somebody else writes to the same Tasks.
 */
export class ClusterTrouble implements Trouble {
  /** Its Secret may not be there. */
  readonly attempts = ['SecretNotFound'] as const;
  readonly #options: ClusterTroubleOptions;
  readonly #random: Random;
  readonly #counts = { killed: 0, frozen: 0, cutOff: 0, forbidden: 0, secrets: 0, cuts: 0, storm: 0 };
  /** Tasks by name, the newest last. */
  readonly #newest = new Map<string, Key>();
  readonly #running: Promise<unknown>[] = [];
  #stopping = false;

  constructor(options: ClusterTroubleOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, 'trouble');
  }

  get counts(): Readonly<Record<string, number>> {
    const { killed, frozen, cutOff, forbidden, secrets: changed, cuts, storm } = this.#counts;
    return {
      'API server killed': killed,
      [`etcd frozen for ${this.#options.freezeMs / 1000} s`]: frozen,
      'replicas cut off alone': cutOff,
      'rights taken away and given back': forbidden,
      'Secrets changed, removed and given back': changed,
      'connections cut': cuts,
      'watches told 410': this.#options.way.forgotten,
      'writes of somebody else to the same Tasks': storm,
    };
  }

  /** A Task that somebody else will write to. */
  created({ namespace, name }: Key): void {
    this.#newest.set(name, { namespace, name });
    for (const oldest of this.#newest.keys()) {
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
      for (const happens of [
        this.#kill,
        this.#forget,
        this.#cutOff,
        this.#forbid,
        this.#changeSecrets,
        this.#freeze,
      ]) {
        await delay(this.#random.between(1_000, longestCalmMs + this.#options.freezeMs / 2));
        await happens.call(this);
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

  /** One engine reaches the API server no more, while the others and the receivers are as near as ever. */
  async #cutOff(): Promise<void> {
    const { way } = this.#options;
    let { engines } = way;
    // All connections may have been cut just now.
    for (; engines.length === 0; engines = way.engines) await delay(50);
    const engine = engines[this.#random.between(0, engines.length - 1)] ?? '';
    way.cutOff(engine);
    await delay(this.#random.between(shortestCutOffMs, longestCutOffMs));
    way.reconnect(engine);
    this.#counts.cutOff += 1;
  }

  /** Takes rights from Telos's ServiceAccount, those to its Leases or all others, and gives them back. */
  async #forbid(): Promise<void> {
    const { admin } = this.#options.plane;
    const taken = this.#random.pick({ work: 2, leases: 2, all: 1 });
    const given = await Promise.all(
      (taken === 'all' ? (['work', 'leases'] as const) : [taken]).map(async (which) => {
        const { collection, key } = rights[which];
        const { rules } = await admin.get<AnyObject>(collection, key);
        return { collection, key, rules };
      }),
    );
    for (const { collection, key } of given) await admin.patch(collection, key, { rules: [] });
    await delay(forbiddenMs);
    for (const { collection, key, rules } of given) await admin.patch(collection, key, { rules });
    this.#counts.forbidden += 1;
  }

  /** One of each namespace at a time: its value is changed, then it is removed, then made with the first value. */
  async #changeSecrets(): Promise<void> {
    const { store } = this.#options;
    const secret = secrets[this.#random.pick({ token: 1, signing: 1 })];
    const keys = namespaces.map((namespace) => ({ namespace, name: secret.name }));
    for (const key of keys) {
      const { stringData } = secretDraft(secret, key.namespace, 1);
      await store.patch('Secret', key, { stringData });
    }
    await delay(secretMs);
    for (const key of keys) await store.delete('Secret', key);
    await delay(secretMs);
    for (const { namespace } of keys) await store.create(secretDraft(secret, namespace, 0));
    this.#counts.secrets += 1;
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
      for (const key of [...this.#newest.values()]) {
        const mark = { 'torture.invalid/storm': String(n) };
        const metadata = n % 2 === 0 ? { annotations: mark } : { labels: mark };
        await admin.patch(tasks, key, { metadata }).then(
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
