import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineLife } from './engine-life.ts';
import { receiverAddress } from './stand.ts';

/** One life of an engine. */
export interface EngineProcess {
  readonly life: EngineLife;
  /** Resolves when it says that it is ready; never, when it ends first. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  /** What it said last. */
  readonly log: readonly string[];
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM: lets it drain. Resolves with its exit code; null when a signal ended it. */
  stop(): Promise<number | null>;
  /** SIGSTOP, and SIGCONT so many real milliseconds later, when it resolves. */
  freeze(ms: number): Promise<void>;
}

/** What the torture decides of an engine. */
export interface EngineStart {
  readonly number: number;
  /** How far its clock is ahead, in its own milliseconds. */
  readonly skewMs: number;
  /** Told of each connection that it makes, before anything is sent on it: from which port, to which. */
  readonly onConnect: (from: number, to: number) => void;
}

/** What a stand decides of all of its engines. */
export interface EngineOptions {
  /** As `--store` takes it. */
  readonly storeName: string;
  /** What it trusts receivers by. */
  readonly caFile: string;
  /** When the torture began, epoch milliseconds. */
  readonly startedAt: number;
  /** Other flags. */
  readonly flags?: readonly string[];
  /** Besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
}

const keptLines = 200;

/** Starts the program as it is shipped, over the stand's store. */
export function startEngine(
  { storeName, caFile, startedAt, flags = [], env }: EngineOptions,
  { number, skewMs, onConnect }: EngineStart,
): EngineProcess {
  const program = process.env['TORTURE_ENGINE'];
  if (program === undefined) throw new Error('TORTURE_ENGINE is not set; run npm run torture');
  const args = ['up', '--report', '--store', storeName, '--port', '0', '--log-format', 'json', ...flags];
  const child = spawn(
    process.execPath,
    [program, ...args, '--ca-file', caFile, '--egress-allow', receiverAddress],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        ...env,
        TORTURE_STARTED_AT: String(startedAt),
        TORTURE_SKEW_MS: String(skewMs),
      },
    },
  );
  const [, , stderr, connections] = child.stdio;
  onLine(connections as Readable, (line) => {
    const [from = 0, to = 0] = line.split(' ').map(Number);
    onConnect(from, to);
  });
  const takes: { shard: number; at: number }[] = [];
  const frozen: { from: number; to: number }[] = [];
  const log: string[] = [];
  let isReady = false;
  const ready = new Promise<void>((resolve) => {
    onLine(stderr as Readable, (line) => {
      log.push(line);
      if (log.length > keptLines) log.shift();
      const shard = shardTaken(line);
      if (shard !== undefined) takes.push({ shard, at: performance.now() });
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
    life: { number, takes, frozen },
    ready,
    get isReady() {
      return isReady;
    },
    ended,
    log,
    kill: async () => void (await end(child, ended, 'SIGKILL')),
    stop: () => end(child, ended, 'SIGTERM'),
    async freeze(ms) {
      const stay = { from: performance.now(), to: Number.POSITIVE_INFINITY };
      frozen.push(stay);
      child.kill('SIGSTOP');
      await delay(ms);
      stay.to = performance.now();
      child.kill('SIGCONT');
    },
  };
}

function onLine(input: Readable, then: (line: string) => void): void {
  createInterface({ input }).on('line', then);
}

/** The shard that an engine says in a line of its log that it works on from now on. */
function shardTaken(line: string): number | undefined {
  if (!line.includes('"this replica works on a shard from now on"')) return undefined;
  return (JSON.parse(line) as { readonly shard: number }).shard;
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
