import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Clock, systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../src/store/store.ts';
import { fastClock } from './fast-clock.ts';

/** What is tortured: a store, and engines over it, each in a process of its own. */
export interface Stand {
  /** The clock of the engines. */
  readonly clock: Clock;
  /** The store as another program has it open, while engines come and go. */
  readonly store: ResourceStore;
  /** The store as `--store` takes it. */
  readonly storeName: string;
  startEngine(): EngineProcess;
  close(): Promise<void>;
}

export interface EngineProcess {
  /** Resolves when it says that it is ready; never, when it ends first. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  /** What it said last. */
  readonly log: readonly string[];
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM: lets it drain. Resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** Every kind of store that can be tortured. Each opens its stand in a folder of its own. */
export const stands = { sqlite: openSqliteStand };

export type StandKind = keyof typeof stands;

async function openSqliteStand(folder: string, caFile: string): Promise<Stand> {
  const startedAt = Date.now();
  const clock = fastClock(startedAt);
  const path = join(folder, 'telos.db');
  // Stores live by the machine's own clock, as the engines' do.
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  const storeName = `sqlite:${path}`;
  return {
    clock,
    store,
    storeName,
    startEngine: () => startEngine(storeName, caFile, startedAt),
    close: () => store.close(),
  };
}

/** The only address that the engines may connect to. */
export const receiverAddress = '127.0.0.1';

const keptLines = 200;

function startEngine(storeName: string, caFile: string, startedAt: number): EngineProcess {
  const program = process.env['TORTURE_ENGINE'];
  if (program === undefined) throw new Error('TORTURE_ENGINE is not set; run npm run torture');
  const args = ['up', '--report', '--store', storeName, '--port', '0', '--log-format', 'json'];
  const child = spawn(
    process.execPath,
    [program, ...args, '--ca-file', caFile, '--egress-allow', receiverAddress],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', TORTURE_STARTED_AT: String(startedAt) },
    },
  );
  const log: string[] = [];
  let isReady = false;
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (log.length > keptLines) log.shift();
      if (!line.includes('"msg":"ready"')) return;
      isReady = true;
      resolve();
    });
  });
  // Whatever becomes of the torture, no engine is left behind.
  const reap = (): void => void child.kill('SIGKILL');
  process.once('exit', reap);
  const ended = once(child, 'exit').then(() => void process.off('exit', reap));
  return {
    ready,
    get isReady() {
      return isReady;
    },
    ended,
    log,
    kill: async () => void (await end(child, ended, 'SIGKILL')),
    stop: () => end(child, ended, 'SIGTERM'),
  };
}

async function end(
  child: ChildProcess,
  ended: Promise<void>,
  signal: NodeJS.Signals,
): Promise<number | null> {
  child.kill(signal);
  await ended;
  return child.exitCode;
}
