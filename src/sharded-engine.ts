import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client';
import { abortable, sleep } from './base/abort.ts';
import { toError } from './base/errors.ts';
import { createEngine, type Engine, type EngineOptions, processMetrics } from './engine.ts';
import type { Runner } from './run/runner.ts';
import { Informers, Reflectors } from './store/informer.ts';
import type { NamespaceRights } from './store/rights/namespace-rights.ts';
import { shardOf } from './store/shards/assign-shards.ts';
import type { LeaseBook, LeaseTiming } from './store/shards/lease.ts';
import { idle, ShardOwner } from './store/shards/shard-owner.ts';
import { ShardedStore } from './store/shards/sharded-store.ts';
import type { Tenure } from './store/shards/tenure.ts';
import type { ResourceStore } from './store/store.ts';

/** What replicas share their work by. */
export interface Sharding {
  readonly leases: LeaseBook;
  readonly timing: LeaseTiming;
  /** What no other replica is called, and none was before. */
  readonly self: string;
  /** In how many shards the namespaces are divided. */
  readonly shards: number;
}

export interface ShardedEngineOptions
  extends Omit<EngineOptions, 'run' | 'access' | 'tenure' | 'informers' | 'metrics'> {
  /** Makes what runs Tasks, for each shard anew; undefined: the room is off. */
  readonly run: ((store: ResourceStore) => Runner) | undefined;
  readonly sharding: Sharding;
  /** What keeps the rights in the namespaces; undefined: they are not to be kept. */
  readonly rights?: NamespaceRights | undefined;
}

/** How long an event waits for this replica to take over from one that ends, in milliseconds. */
const takeOverMs = 5_000;

/**
 * An engine that shares its work with others of its kind: for each shard of namespaces that this replica holds, an
 * engine of its own over what of the store belongs to the shard. One that holds nothing stands by.
 */
export function createShardedEngine(options: ShardedEngineOptions): Engine {
  const { sharding, rights, ...shared } = options;
  const { store, clock, log } = options;
  const { leases: book, timing, self, shards } = sharding;
  const engines = new Map<number, Held>();
  /** Aborts when another engine is there. */
  let arrival = new AbortController();
  // However many shards are held, each kind is followed once.
  const reflectors = new Reflectors(store, { ...options, access: rights });
  const shardOfNamespace = remembered((namespace) => shardOf(namespace, shards));
  const work = async (shard: number, tenure: Tenure, leave: AbortSignal): Promise<void> => {
    const concerns = (namespace: string): boolean => shardOfNamespace(namespace) === shard;
    const namespaces = options.namespaces?.filter(concerns);
    if (namespaces?.length === 0) return idle(tenure, leave);
    const ofShard = new ShardedStore(store, concerns, tenure);
    const registry = new Registry();
    registry.setDefaultLabels({ shard: String(shard) });
    const informers = new Informers({ store, namespaces, clock, log, shared: { reflectors, concerns } });
    const engine = createEngine({
      ...shared,
      store: ofShard,
      namespaces,
      access: rights,
      informers,
      run: options.run === undefined ? undefined : { runner: options.run(ofShard) },
      report: options.report && { ...options.report, sweeps: sweepsOf(shard, namespaces, ofShard, tenure) },
      log: log.child({ shard }),
      tenure,
      metrics: registry,
    });
    engines.set(shard, { engine, registry, tenure });
    arrival.abort();
    arrival = new AbortController();
    const { owesAttempts } = engine;
    const tenant = rights?.enter({
      namespaces: namespaces ?? [],
      store: ofShard,
      informers,
      tenure,
      owesAttempts,
    });
    try {
      await engine.run(AbortSignal.any([leave, tenure.signal]));
    } finally {
      if (tenant !== undefined) await rights?.leave(tenant);
      engines.delete(shard);
    }
  };
  /** Old Deliveries are looked for once, not once for each shard. */
  const sweepsOf = (
    shard: number,
    namespaces: readonly string[] | undefined,
    ofShard: ResourceStore,
    tenure: Tenure,
  ): ResourceStore | false => {
    if (namespaces !== undefined) return ofShard;
    return shard === 0 && new ShardedStore(store, () => true, tenure);
  };
  const owner = new ShardOwner({ book, self, timing, shards, clock, log, work });
  const metrics = processMetrics(store, clock);
  shardMetrics(metrics, shards, owner);

  /** Events go to whoever holds the work: all of it, as spawning is not divided. */
  const ingest: NonNullable<Engine['ingest']> = async (event, signal) => {
    if (engines.size === 0) {
      await sleep(takeOverMs, AbortSignal.any([signal, arrival.signal]), clock).catch(() => {});
    }
    const [held] = engines.values();
    if (held?.engine.ingest !== undefined) return held.engine.ingest(event, signal);
    return { status: 503, body: { error: 'another replica takes the events: send it again' } };
  };
  let hasStarted = false;
  const started = async (signal: AbortSignal): Promise<void> => {
    await abortable(owner.looked(), signal);
    await Promise.all([...engines.values()].map((held) => startedOrLost(held, signal)));
    hasStarted = true;
  };
  return {
    metrics: { contentType: metrics.contentType, metrics: () => allMetrics(metrics, engines) },
    ingest: options.spawn ? ingest : undefined,
    owesAttempts: (namespace) => [...engines.values()].some(({ engine }) => engine.owesAttempts(namespace)),
    started,
    async readiness(signal) {
      const waitingFor: string[] = [];
      await store
        .ping({ signal })
        .catch((thrown: unknown) => waitingFor.push(`store: ${toError(thrown).message}`));
      if (!owner.isWell) waitingFor.push('the Leases by which replicas share the work');
      // A shard that comes later must not take a replica out of service.
      if (!hasStarted) {
        for (const { engine } of engines.values())
          waitingFor.push(...(await engine.readiness(signal)).waitingFor);
        if (waitingFor.length === 0) hasStarted = true;
      }
      return { ready: waitingFor.length === 0, waitingFor: [...new Set(waitingFor)] };
    },
    async run(signal) {
      const ended = new AbortController();
      // For as long as anybody works, which is longer than until the signal aborts.
      const keeping = rights?.run(ended.signal);
      await owner.run(signal).finally(() => ended.abort());
      await keeping;
    },
  };
}

/** A function of a namespace that is not computed twice. */
function remembered<T>(of: (namespace: string) => T): (namespace: string) => T {
  const known = new Map<string, T>();
  return (namespace) => {
    const value = known.get(namespace) ?? of(namespace);
    known.set(namespace, value);
    return value;
  };
}

/** The engine of a shard that is held. */
interface Held {
  readonly engine: Engine;
  readonly registry: Registry;
  readonly tenure: Tenure;
}

/** @throws the signal's reason, and what the engine will never start for; not that the shard was lost meanwhile */
async function startedOrLost({ engine, tenure }: Held, signal: AbortSignal): Promise<void> {
  try {
    await engine.started(AbortSignal.any([signal, tenure.signal]));
  } catch (thrown) {
    if (signal.aborted || !tenure.signal.aborted) throw thrown;
  }
}

/** Registers what is told of the shards. */
export function shardMetrics(
  registry: Registry,
  shards: number,
  owner: Pick<ShardOwner, 'held' | 'transitions'>,
): void {
  new Gauge({
    name: 'telos_shards',
    help: 'Shards in which the namespaces are divided among all replicas.',
    registers: [registry],
  }).set(shards);
  new Gauge({
    name: 'telos_shards_held',
    help: 'Shards of namespaces that this replica works on.',
    registers: [registry],
    collect() {
      this.set(owner.held.length);
    },
  });
  let told = 0;
  new Counter({
    name: 'telos_shard_transitions_total',
    help: 'Shards that this replica took, handed over or lost.',
    registers: [registry],
    collect() {
      this.inc(owner.transitions - told);
      told = owner.transitions;
    },
  });
}

/** Those of the process, then those of the shards, which a label tells apart. */
async function allMetrics(process: Registry, engines: ReadonlyMap<number, Held>): Promise<string> {
  const texts = [await process.metrics()];
  const ofShards = await Promise.all(
    [...engines.values()].map(({ registry }) => registry.getMetricsAsJSON()),
  );
  if (ofShards.length > 0) texts.push(await AggregatorRegistry.aggregate(ofShards).metrics());
  return texts.join('\n');
}
