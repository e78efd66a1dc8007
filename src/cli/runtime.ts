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
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../store/store.ts';
import { runDirectory } from './store-location.ts';
import { version } from './version.ts';

export interface RuntimeOptions {
  /** The SQLite file. */
  readonly storePath: string;
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
 * Starts an engine over a SQLite file. What was acquired is let go again when a later step fails.
 * @throws StoreError, EgressConfigError, ListenError
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
    const store = await openSqliteStore({ path: options.storePath, clock, log });
    releases.push(() => store.close());
    const lock = acquireEngineLock(options.storePath);
    // Let go last: the file is ours until everything is written.
    releases.unshift(() => lock.release());
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
    return running(store, engine, server, release);
  } catch (error) {
    await release();
    throw error;
  }
}

function processRunner({ storePath, clock, log }: RuntimeOptions): ReturnType<typeof createProcessRunner> {
  const keeperPath = fileURLToPath(new URL('./keeper.js', import.meta.url));
  return createProcessRunner({ directory: runDirectory(storePath), keeperPath, clock, log });
}

function running(
  store: ResourceStore,
  engine: Engine,
  server: HttpServer,
  release: () => Promise<void>,
): Runtime {
  const stopping = new AbortController();
  const working = engine.run(stopping.signal);
  const ended = (async () => {
    try {
      await working;
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
