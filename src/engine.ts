import { setMaxListeners } from 'node:events';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { aborted } from './base/abort.ts';
import type { Clock } from './base/clock.ts';
import { toError } from './base/errors.ts';
import type { Logger } from './base/log.ts';
import { createReportRoom, type ReportRoom, type ReportSettings } from './report/room.ts';
import { createRunRoom, type RunRoom } from './run/room.ts';
import type { Runner } from './run/runner.ts';
import { createSpawnRoom, type SpawnRoom } from './spawn/room.ts';
import { EventRecorder } from './store/event-recorder.ts';
import { Informers } from './store/informer.ts';
import type { NamespaceAccess } from './store/namespace-access.ts';
import type { Room, RoomDeps } from './store/room.ts';
import type { Tenure } from './store/shards/tenure.ts';
import type { ResourceStore } from './store/store.ts';

export interface EngineOptions {
  readonly store: ResourceStore;
  /** Works in these namespaces only; undefined: in all. */
  readonly namespaces?: readonly string[] | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Which rooms are on, each with what only it needs. */
  readonly spawn: boolean;
  readonly run: { readonly runner: Runner } | undefined;
  readonly report: ReportSettings | undefined;
  /** Which of the namespaces may be read now; undefined: all. */
  readonly access?: NamespaceAccess | undefined;
  /** Until when the work is ours; undefined: for as long as it runs. */
  readonly tenure?: Tenure | undefined;
  /** What follows the store; undefined: informers of its own. */
  readonly informers?: Informers | undefined;
  /** Where the rooms register theirs; undefined: a registry that has the process's and the store's, too. */
  readonly metrics?: Registry | undefined;
}

export interface Engine {
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  /** Turns an inbound event into Tasks. Undefined when spawn is off. */
  readonly ingest: SpawnRoom['ingest'] | undefined;
  /** Whether something of a namespace is to be told, perhaps for the last time. */
  owesAttempts(namespace: string): boolean;
  /** What has to happen before it may be sent work. */
  readiness(signal: AbortSignal): Promise<{ ready: boolean; waitingFor: readonly string[] }>;
  /**
   * Resolves when the first lists are in and every completion found there is recorded.
   * @throws the signal's reason when it aborts first, StoreError `Damaged` when the store has to be mended first
   */
  started(signal: AbortSignal): Promise<void>;
  /**
   * Works until the signal aborts, then drains: what is under way ends, nothing new is begun.
   * @throws what stopped a room that should have gone on; the others are stopped then too.
   */
  run(signal: AbortSignal): Promise<void>;
}

/** Puts the rooms that are on around one store. The only place that knows which they are. */
export function createEngine(options: EngineOptions): Engine {
  const { store, namespaces, access, clock, log, tenure } = options;
  const metrics = options.metrics ?? processMetrics(store, clock);
  const informers = options.informers ?? new Informers({ store, namespaces, access, clock, log });
  const events = new EventRecorder(store, clock, log);
  const depsOf = (room: string): RoomDeps => ({
    store,
    namespaces,
    access,
    tenure,
    informers,
    events,
    clock,
    metrics,
    log: log.child({ room }),
  });

  const spawn = options.spawn ? createSpawnRoom(depsOf('spawn')) : undefined;
  const run = options.run === undefined ? undefined : createRunRoom(depsOf('run'), options.run);
  const report =
    options.report === undefined ? undefined : createReportRoom(depsOf('report'), options.report);
  const rooms = [spawn, run, report].filter((room) => room !== undefined);

  return {
    metrics,
    ingest: spawn?.ingest.bind(spawn),
    owesAttempts: (namespace) => report?.owesAttempts(namespace) ?? false,
    readiness: (signal) => readiness(store, informers, { run, report }, signal),
    async started(signal) {
      await informers.synced(signal);
      await run?.untilRunsKnown(signal);
      await report?.untilCaughtUp(signal);
    },
    async run(signal) {
      await runAll(rooms, informers, signal);
      await events.flush();
    },
  };
}

/** The metrics of the process and of the store. */
export function processMetrics(store: ResourceStore, clock: Clock): Registry {
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });
  storeGauge(metrics, store, clock);
  return metrics;
}

/** The longest that a scrape waits for the store, in milliseconds. */
const gaugePatienceMs = 1_000;

function storeGauge(metrics: Registry, store: ResourceStore, clock: Clock): void {
  new Gauge({
    name: 'telos_store_available',
    help: '1 when the store can be read and written, 0 when it cannot.',
    registers: [metrics],
    async collect() {
      const late = new AbortController();
      const cancel = clock.after(gaugePatienceMs, () => late.abort());
      this.set(
        await store.ping({ signal: late.signal }).then(
          () => 1,
          () => 0,
        ),
      );
      cancel();
    },
  });
}

async function readiness(
  store: ResourceStore,
  informers: Informers,
  { run, report }: { readonly run: RunRoom | undefined; readonly report: ReportRoom | undefined },
  signal: AbortSignal,
): Promise<{ ready: boolean; waitingFor: readonly string[] }> {
  const waitingFor: string[] = [];
  await store
    .ping({ signal })
    .catch((thrown: unknown) => waitingFor.push(`store: ${toError(thrown).message}`));
  if (!informers.areSynced) waitingFor.push('the first list of resources');
  if (run?.knowsRuns === false) waitingFor.push('the first list of Jobs and Pods');
  if (report?.caughtUp === false) waitingFor.push('recording the completions found at start');
  return { ready: waitingFor.length === 0, waitingFor };
}

/** Runs the rooms, and the informers for as long as a room may still need them. One room's failure ends all. */
async function runAll(rooms: readonly Room[], informers: Informers, signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const drained = new AbortController();
  // However many rooms, watches and attempts wait for them, none of that is a leak.
  setMaxListeners(0, stop, drained.signal);
  const following = informers.run(drained.signal);
  const ends = await Promise.allSettled(
    rooms.map(async (room) => {
      try {
        await room.run(stop);
        if (!stop.aborted) throw new Error('a room ended by itself');
      } catch (thrown) {
        failed.abort(thrown);
        throw thrown;
      }
    }),
  );
  if (rooms.length === 0) await aborted(signal);
  drained.abort();
  await following;
  for (const end of ends) if (end.status === 'rejected' && !signal.aborted) throw end.reason;
}
