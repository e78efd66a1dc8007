import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { threadId } from 'node:worker_threads';
import { bundle, program, root } from '../../scripts/bundle.mjs';
import { systemClock } from '../../src/base/clock.ts';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { runCli } from '../../src/cli/program.ts';

/** How a run of the program ended. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TelosOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly signal?: AbortSignal;
  /** Whether stdout passes for a terminal. */
  readonly terminal?: boolean;
  /** Told of everything written to stdout, as it is written. */
  readonly onOutput?: (output: string) => void;
  /** Told of everything written to stderr. */
  readonly onNote?: (notes: string) => void;
}

/** Runs the program inside the test's own process, with its own input, output and environment. */
export async function telos(args: readonly string[], options: TelosOptions = {}): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  const io: CliIo = {
    stdin: Readable.from([options.stdin ?? '']),
    stdout: {
      isTTY: options.terminal ?? false,
      write: (chunk) => {
        stdout += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
        options.onOutput?.(stdout);
      },
    },
    stderr: {
      write: (chunk) => {
        stderr += String(chunk);
        options.onNote?.(stderr);
      },
    },
    env: options.env ?? {},
    clock: systemClock,
    signal: options.signal ?? new AbortController().signal,
  };
  const exitCode = await runCli(args, io);
  return { exitCode, stdout, stderr };
}

/** Bundles the program and its keeper as they are shipped; returns the file that plain node can run. */
export async function buildTelos(): Promise<string> {
  // Below node_modules, so that the native module that is not bundled is found. One folder for each worker.
  const folder = join(root, 'node_modules', '.cache', 'telos-test', String(threadId));
  const dist = join(folder, 'dist');
  await bundle(program, dist);
  // The program looks for its examples beside its own folder.
  await rm(join(folder, 'examples'), { force: true });
  await symlink(join(root, 'examples'), join(folder, 'examples'));
  return join(dist, 'telos.js');
}

/** Starts the bundled program. */
export function startTelos(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [file, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
}

/** Waits for the end of a program that `startTelos` started. */
export async function ended(
  child: ChildProcessWithoutNullStreams,
): Promise<Ended & { signal: string | null }> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { exitCode: exitCode ?? -1, signal, ...output };
}
