import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { receiverAddress } from './stand.ts';

/** One life of an engine. */
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

export interface EngineOptions {
  /** As `--store` takes it. */
  readonly storeName: string;
  /** What it trusts receivers by. */
  readonly caFile: string;
  /** When the torture began, epoch milliseconds. */
  readonly startedAt: number;
  /** Besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
}

const keptLines = 200;

/** Starts the program as it is shipped, over the stand's store. */
export function startEngine({ storeName, caFile, startedAt, env }: EngineOptions): EngineProcess {
  const program = process.env['TORTURE_ENGINE'];
  if (program === undefined) throw new Error('TORTURE_ENGINE is not set; run npm run torture');
  const args = ['up', '--report', '--store', storeName, '--port', '0', '--log-format', 'json'];
  const child = spawn(
    process.execPath,
    [program, ...args, '--ca-file', caFile, '--egress-allow', receiverAddress],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', ...env, TORTURE_STARTED_AT: String(startedAt) },
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
