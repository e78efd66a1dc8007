import type { Clock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { StoreError } from '../../../src/store/errors.ts';
import { type Lease, type LeaseBook, type LeaseDraft, leaseTiming } from '../../../src/store/shards/lease.ts';
import { ShardOwner } from '../../../src/store/shards/shard-owner.ts';
import type { Tenure } from '../../../src/store/shards/tenure.ts';
import type { CallOptions } from '../../../src/store/store.ts';

/** Random numbers that are the same for a seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const tickMs = 50;

/** The Leases that all replicas see, with compare-and-swap, and true time, which none of them sees. */
export class LeaseWorld {
  now = 0;
  readonly #leases = new Map<string, Lease>();
  readonly #replicas: Replica[] = [];
  #version = 0;

  get leases(): ReadonlyMap<string, Lease> {
    return this.#leases;
  }

  /** Whoever reads and writes them at once. */
  readonly book: LeaseBook = {
    list: async () => [...this.#leases.values()],
    get: async (name) => this.#leases.get(name),
    create: async (draft) => this.write(draft),
    replace: async (lease) => this.write(lease),
    remove: async (name) => this.remove(name),
  };

  join(options: Omit<ReplicaOptions, 'world'>): Replica {
    const replica = new Replica({ ...options, world: this });
    this.#replicas.push(replica);
    return replica;
  }

  /** Lets true time pass; `each` sees every moment in which somebody may have acted. */
  async pass(ms: number, each: () => void = () => {}): Promise<void> {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += tickMs;
      for (const replica of this.#replicas) replica.tick();
      // What the timers and answers of this moment lead to.
      await new Promise((resolve) => setImmediate(resolve));
      each();
    }
  }

  write(draft: LeaseDraft & { readonly version?: string }): Lease {
    const before = this.#leases.get(draft.name);
    if (draft.version === undefined && before !== undefined)
      throw new StoreError('AlreadyExists', 'is there');
    // As an API server has it: to replace a Lease that is gone makes it anew.
    if (before !== undefined && draft.version !== before.version)
      throw new StoreError('Conflict', 'there is a newer one');
    this.#version += 1;
    const lease = { ...draft, version: String(this.#version) };
    this.#leases.set(draft.name, lease);
    return lease;
  }

  remove(name: string): void {
    this.#leases.delete(name);
  }
}

interface ReplicaOptions {
  readonly world: LeaseWorld;
  readonly self: string;
  readonly shards: number;
  readonly random: () => number;
  /** How far its wall clock is off, in milliseconds. */
  readonly skewMs?: number;
  /** How much faster than true time its clocks run. */
  readonly drift?: number;
  readonly work?: (shard: number, tenure: Tenure, leave: AbortSignal) => Promise<void>;
}

/** A replica with clocks of its own, which can be frozen, cut off, and killed. */
export class Replica {
  readonly owner: ShardOwner;
  isFrozen = false;
  isDead = false;
  /** Whether its calls reach the Leases. */
  isCutOff = false;
  /** How it ended, if it did. */
  ended: Promise<unknown>;
  readonly #options: ReplicaOptions;
  readonly #timers = new Set<{ due: number; fire: () => void }>();
  readonly #answers: { at: number; give: () => void }[] = [];
  readonly #stop = new AbortController();

  constructor(options: ReplicaOptions) {
    this.#options = options;
    const { self, shards } = options;
    const untilOver = (_shard: number, tenure: Tenure, leave: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        for (const signal of [tenure.signal, leave]) signal.addEventListener('abort', () => resolve());
      });
    this.owner = new ShardOwner({
      book: this.#book(),
      self,
      shards,
      timing: leaseTiming(10_000),
      clock: this.clock,
      log: silentLogger,
      work: options.work ?? untilOver,
    });
    this.ended = this.owner.run(this.#stop.signal);
    this.ended.catch(() => {});
  }

  get isAwake(): boolean {
    return !this.isFrozen && !this.isDead;
  }

  /** Asks it to end, as SIGTERM does. */
  stop(): void {
    this.#stop.abort();
  }

  readonly clock: Clock = {
    now: () => Math.floor(this.#monotonic() + (this.#options.skewMs ?? 0)),
    monotonic: () => this.#monotonic(),
    after: (delayMs, fire) => {
      const timer = { due: this.#monotonic() + delayMs, fire };
      this.#timers.add(timer);
      return () => this.#timers.delete(timer);
    },
  };

  /** Does what is due, late if it was frozen: answers first, as they come before timers in an event loop. */
  tick(): void {
    if (!this.isAwake) return;
    for (const answer of this.#answers.splice(0)) {
      if (answer.at <= this.#options.world.now) answer.give();
      else this.#answers.push(answer);
    }
    for (const timer of [...this.#timers].sort((a, b) => a.due - b.due)) {
      if (timer.due > this.#monotonic() || !this.#timers.delete(timer)) continue;
      timer.fire();
    }
  }

  #monotonic(): number {
    return this.#options.world.now * (1 + (this.#options.drift ?? 0));
  }

  #book(): LeaseBook {
    const { world } = this.#options;
    return {
      list: (options) => this.#call(options, () => [...world.leases.values()]),
      get: (name, options) => this.#call(options, () => world.leases.get(name)),
      create: (draft, options) => this.#call(options, () => world.write(draft)),
      replace: (lease, options) => this.#call(options, () => world.write(lease)),
      remove: (name, options) => this.#call(options, () => world.remove(name)),
    };
  }

  /** Takes effect now or never; the answer comes later, or is lost. */
  #call<T>({ signal }: CallOptions, effect: () => T): Promise<T> {
    const { random, world } = this.#options;
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (this.isCutOff && random() < 0.8) return;
      const at = world.now + random() * 200;
      let give: () => void;
      try {
        const result = effect();
        give = () => resolve(result);
      } catch (thrown) {
        give = () => reject(thrown);
      }
      if (!this.isCutOff) this.#answers.push({ at, give });
    });
  }
}
