import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** `telos up` in a process of its own. */
export interface RunningEngine {
  /** Where its HTTP face listens. */
  readonly url: string;
  readonly pid: number;
  /** All that it has logged. */
  readonly log: readonly string[];
  /** Resolves with the first line logged, so far or from now on, that holds this text. */
  logged(text: string): Promise<string>;
  /** Sends a signal, such as SIGSTOP, and goes on. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves with its exit code when it has ended, whoever ended it. */
  ended(): Promise<number | null>;
  /** SIGTERM: drains; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts the engine over a store file and resolves when it says that it is ready. */
export function startEngine(
  program: string,
  storePath: string,
  ...args: readonly string[]
): Promise<RunningEngine> {
  return startUp(program, ['up', '--store', `sqlite:${storePath}`, '--log-format', 'json', ...args]);
}

/**
 * Starts it with these arguments, which say where the store is and that the log is JSON, on a port that is free.
 * `onLine` is told of each line of the log, also before it is ready.
 */
export async function startUp(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onLine: (line: string) => void = () => {},
): Promise<RunningEngine> {
  const child = spawn(process.execPath, [program, ...args, '--port', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  const log: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      onLine(line);
      for (const listener of listeners) listener(line);
      const entry = line.startsWith('{') ? (JSON.parse(line) as { msg: string; url: string }) : undefined;
      if (entry?.msg === 'ready') resolve(entry.url);
    });
    child.once('exit', () => reject(new Error(`the engine ended before it was ready:\n${log.join('\n')}`)));
  });
  return {
    url,
    pid: child.pid ?? 0,
    log,
    logged: (text) =>
      new Promise((resolve) => {
        const listener = (line: string): void => {
          if (!line.includes(text)) return;
          listeners.delete(listener);
          resolve(line);
        };
        listeners.add(listener);
        for (const line of log) listener(line);
      }),
    signal: (signal) => void child.kill(signal),
    ended: () => ended(child),
    stop: () => end(child, 'SIGTERM'),
    kill: async () => void (await end(child, 'SIGKILL')),
  };
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  return ended(child);
}

/** Sends one event; resolves with status and body of the answer. */
export async function sendEvent(
  url: string,
  source: string,
  body: string | object,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: { results?: { outcome: string; task?: string }[]; error?: string } }> {
  const answer = await fetch(`${url}/webhook/${source}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers,
  });
  return { status: answer.status, body: (await answer.json()) as { error?: string } };
}
