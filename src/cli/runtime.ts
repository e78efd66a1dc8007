import { fileURLToPath } from 'node:url';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { EgressGuard } from '../egress/guard.ts';
import { type EgressOptions, parseEgressPolicy } from '../egress/policy.ts';
import { createEngine, type Engine } from '../engine.ts';
import { createProcessRunner } from '../run/process/process-runner.ts';
import { type HttpServer, startHttpServer } from '../server/http-server.ts';
import { acquireEngineLock } from '../store/sqlite/engine-lock.ts';
import { openThreadedStore } from '../store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../store/store.ts';
import { CliError } from './cli-error.ts';
import { exposureWarning } from './exposure.ts';
import { runDirectory, type StoreLocation } from './store-location.ts';
import { makeDefaultFolder, openStore } from './store-option.ts';
import { version } from './version.ts';

export interface RuntimeOptions {
  readonly store: StoreLocation;
  /** Where a kubeconfig is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly rooms: { readonly spawn: boolean; readonly run: boolean; readonly report: boolean };
  readonly egress: EgressOptions;
  readonly hookSecrets: 'any' | 'labelled';
  /** Completions older than this when first seen are not sent, in milliseconds. */
  readonly backlogMs: number;
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
    const lost = new AbortController();
    const store = await openEngineStore(options, (error) => lost.abort(error));
    releases.push(() => store.close());
    if (options.store.kind === 'sqlite') {
      const lock = acquireEngineLock(options.store.path);
      // Let go last: the file is ours until everything is written.
      releases.unshift(() => lock.release());
    }
    const guard = new EgressGuard(policy, { clock });
    releases.push(() => guard.close());
    const { hookSecrets, backlogMs } = options;
    const engine = createEngine({
      store,
      clock,
      log,
      spawn: rooms.spawn,
      run: rooms.run ? { runner: processRunner(options) } : undefined,
      report: rooms.report ? { guard, hookSecrets, backlogMs, version } : undefined,
    });
    const server = await startHttpServer({ engine, log, host: options.host, port: options.port });
    const warning = exposureWarning(options.host, rooms);
    if (warning !== undefined) log.warn(warning, { url: server.url });
    return running({ store, engine, server, lost: lost.signal, release });
  } catch (error) {
    await release();
    throw error;
  }
}

/** A file is worked on in a thread of its own, so that the engine never waits for the disk. */
async function openEngineStore(
  options: RuntimeOptions,
  onLost: (error: Error) => void,
): Promise<ResourceStore> {
  const { store: location, clock, log, env } = options;
  if (location.kind === 'kubernetes') return openStore(location, { clock, log, env });
  await makeDefaultFolder(location);
  return openThreadedStore({
    path: location.path,
    log,
    threadPath: besideProgram('store-thread.js'),
    onLost,
  });
}

function processRunner({ store, clock, log }: RuntimeOptions): ReturnType<typeof createProcessRunner> {
  if (store.kind === 'kubernetes') {
    throw new CliError(
      'not built yet',
      'telos up --run --store kubernetes',
      'let Kelos run them: use --report',
    );
  }
  const keeperPath = besideProgram('keeper.js');
  return createProcessRunner({ directory: runDirectory(store.path), keeperPath, clock, log });
}

/** The path of another program that is shipped in the same folder. */
function besideProgram(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}

interface Parts {
  readonly store: ResourceStore;
  readonly engine: Engine;
  readonly server: HttpServer;
  /** Aborts when the store's thread ends against its will. */
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
