import { fileURLToPath } from 'node:url';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { EgressGuard } from '../egress/guard.ts';
import { type EgressOptions, parseEgressPolicy } from '../egress/policy.ts';
import { createEngine, type Engine } from '../engine.ts';
import { createProcessRunner } from '../run/process/process-runner.ts';
import type { Runner } from '../run/runner.ts';
import { type HttpServer, startHttpServer } from '../server/http-server.ts';
import { createShardedEngine, type Sharding } from '../sharded-engine.ts';
import type { NamespaceRights } from '../store/rights/namespace-rights.ts';
import { acquireEngineLock } from '../store/sqlite/engine-lock.ts';
import { openThreadedStore } from '../store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../store/store.ts';
import type { OutboxOptions, ShardingOptions } from './engine-options.ts';
import { exposureWarning } from './exposure.ts';
import type { KelosLease } from './kelos-lease.ts';
import { runDirectory, type StoreLocation } from './store-location.ts';
import { makeDefaultFolder } from './store-option.ts';
import { version } from './version.ts';

export interface RuntimeOptions {
  readonly store: StoreLocation;
  /** Where a kubeconfig is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only these namespaces; undefined: all. */
  readonly namespaces?: readonly string[] | undefined;
  /** The RoleBinding in each of them that gives the rights; undefined: they come from elsewhere. */
  readonly roleBinding?: string | undefined;
  /** How to share the work with other replicas; undefined: there are none. */
  readonly sharding?: ShardingOptions | undefined;
  readonly rooms: { readonly spawn: boolean; readonly run: boolean; readonly report: boolean };
  readonly egress: EgressOptions;
  readonly hookSecrets: 'any' | 'labelled';
  /** Completions older than this when first seen are not sent, in milliseconds. */
  readonly backlogMs: number;
  /** How Deliveries are sent and kept. Default: as `telos up` does unless told otherwise. */
  readonly outbox?: OutboxOptions;
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An engine with its store and HTTP face, all in this process. */
export interface Runtime {
  readonly store: ResourceStore;
  readonly engine: Engine;
  /** Where its HTTP face listens. */
  readonly url: string;
  /** Resolves when it has stopped; rejects with what stopped it against its will. */
  readonly ended: Promise<void>;
  /** Drains: no new work, what is under way ends, everything is written. Resolves when `ended` has settled. */
  stop(): Promise<void>;
}

/**
 * Starts an engine over a store. What was acquired is let go again when a later step fails.
 * @throws StoreError, EgressConfigError, ListenError, CliError
 */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { clock, log, rooms } = options;
  const policy = parseEgressPolicy(options.egress);
  const releases: (() => unknown)[] = [];
  const release = async (): Promise<void> => {
    // In reverse, each of them even if one before it fails.
    for (const free of releases.splice(0).reverse()) {
      try {
        await free();
      } catch (thrown) {
        log.error('something could not be let go', { error: toError(thrown).message });
      }
    }
  };
  try {
    if (options.store.kind === 'sqlite') {
      await makeDefaultFolder(options.store);
      // Before the file is opened, which may bring it to a newer version; let go last, when everything is written.
      const lock = acquireEngineLock(options.store.path);
      releases.push(() => lock.release());
    }
    const lost = new AbortController();
    const onLost = (error: Error): void => lost.abort(error);
    const { store, runner, sharding, rights, rival } = await openBackend(options, onLost);
    releases.push(() => store.close());
    if (rival !== undefined) releases.push(rival.watch(onLost));
    const guard = new EgressGuard(policy, { clock });
    releases.push(() => guard.close());
    const { hookSecrets, backlogMs, outbox, namespaces } = options;
    const shared = {
      store,
      namespaces,
      clock,
      log,
      spawn: rooms.spawn,
      report: rooms.report ? { guard, hookSecrets, backlogMs, version, ...outbox } : undefined,
    };
    const engine =
      sharding === undefined
        ? createEngine({ ...shared, run: rooms.run ? { runner: runner(store) } : undefined })
        : createShardedEngine({ ...shared, run: rooms.run ? runner : undefined, sharding, rights });
    const server = await startHttpServer({ engine, log, host: options.host, port: options.port });
    const warning = exposureWarning(options.host, rooms);
    if (warning !== undefined) log.warn(warning, { url: server.url });
    return running({ store, engine, server, lost: lost.signal, release });
  } catch (error) {
    await release();
    throw error;
  }
}

/** The store, and what makes the runner that goes with it. */
interface Backend {
  readonly store: ResourceStore;
  readonly runner: (store: ResourceStore) => Runner;
  readonly sharding: Sharding | undefined;
  readonly rights: NamespaceRights | undefined;
  readonly rival: KelosLease | undefined;
}

async function openBackend(options: RuntimeOptions, onLost: (error: Error) => void): Promise<Backend> {
  const { store: location, namespaces, clock, log, env, rooms } = options;
  if (location.kind === 'kubernetes') {
    // Loaded when it is wanted: most engines have a file.
    const { openCluster } = await import('./cluster-backend.ts');
    return openCluster({
      context: location.context,
      env,
      namespaces,
      roleBinding: options.roleBinding,
      rooms,
      sharding: options.sharding,
      clock,
      log,
    });
  }
  // A file is worked on in a thread of its own, so that the engine never waits for the disk.
  const threadPath = besideProgram('store-thread.js');
  const store = await openThreadedStore({ path: location.path, log, threadPath, onLost });
  const keeperPath = besideProgram('keeper.js');
  const directory = runDirectory(location.path);
  const runner = (): Runner => createProcessRunner({ directory, keeperPath, clock, log });
  return { store, runner, sharding: undefined, rights: undefined, rival: undefined };
}

/** The path of another program that is shipped in the same folder. */
function besideProgram(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}

interface Parts {
  readonly store: ResourceStore;
  readonly engine: Engine;
  readonly server: HttpServer;
  /** Aborts when the store's thread ends against its will, or somebody else begins to do the same work. */
  readonly lost: AbortSignal;
  readonly release: () => Promise<void>;
}

function running({ store, engine, server, lost, release }: Parts): Runtime {
  const stopping = new AbortController();
  const working = engine.run(AbortSignal.any([stopping.signal, lost]));
  const ended = (async () => {
    try {
      await working;
      lost.throwIfAborted();
    } finally {
      await server.close();
      await release();
    }
  })();
  // Whoever awaits `ended` hears of a failure; until then it must not count as unhandled.
  ended.catch(() => {});
  return {
    store,
    engine,
    url: server.url,
    ended,
    async stop() {
      stopping.abort();
      await ended.catch(() => {});
    },
  };
}
