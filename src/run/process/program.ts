import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { errorCode, toError } from '../../base/errors.ts';
import { clampUtf8, escapeControls } from '../../base/text.ts';
import type { KeeperJob } from './run-folder.ts';

/** A program just started, as the leader of a process group of its own. */
export interface Program {
  readonly pid: number;
  /** What it prints: one stream, in the order printed, unless this system has no mkfifo. */
  readonly output: readonly Readable[];
  /** Resolves when its main process has ended, whatever it leaves behind. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** Starts the program of a job. A string says in one line why it cannot be started. */
export async function startProgram(job: KeeperJob, folder: string): Promise<Program | string> {
  const fault = workingDirFault(job.workingDir);
  if (fault !== undefined) return fault;
  const opened: number[] = [];
  try {
    const stdin = job.stdin === '' ? 'ignore' : stdinFile(job.stdin, folder);
    if (stdin !== 'ignore') opened.push(stdin);
    const fifo = openFifo(folder);
    if (fifo !== undefined) opened.push(fifo.writeEnd);
    const [file = '', ...args] = job.argv;
    const child = spawn(file, args, {
      cwd: job.workingDir,
      env: job.env,
      detached: true,
      stdio: [stdin, fifo?.writeEnd ?? 'pipe', fifo?.writeEnd ?? 'pipe'],
    });
    const exit = exitOf(child);
    try {
      await once(child, 'spawn');
    } catch (thrown) {
      fifo?.reader.destroy();
      throw thrown;
    }
    const output = fifo === undefined ? [child.stdout, child.stderr] : [fifo.reader];
    return { pid: child.pid ?? 0, exit, output: output.filter((stream) => stream !== null) };
  } catch (thrown) {
    return spawnFault(job.argv[0] ?? '', thrown);
  } finally {
    for (const file of opened) closeSync(file);
  }
}

function exitOf(child: ChildProcess): Program['exit'] {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/**
 * A real file as stdin, without a name: Node's own pipes are sockets, on which `/dev/stdin` cannot be opened.
 */
function stdinFile(text: string, folder: string): number {
  const path = join(folder, 'stdin');
  writeFileSync(path, text, { mode: 0o600 });
  const file = openSync(path, 'r');
  unlinkSync(path);
  return file;
}

/**
 * A real pipe for stdout and stderr together, which keeps their order and lets programs open `/dev/stderr`.
 * Undefined when the system has no such thing.
 */
function openFifo(folder: string): { reader: Readable; writeEnd: number } | undefined {
  const path = join(folder, 'output');
  try {
    execFileSync('mkfifo', ['-m', '600', path], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  // Opened without blocking, as no writer is there yet; the write end then finds a reader.
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeEnd = openSync(path, constants.O_WRONLY);
  unlinkSync(path);
  return { reader: new Socket({ fd: readEnd, readable: true, writable: false }), writeEnd };
}

function workingDirFault(path: string): string | undefined {
  const where = `working directory ${shown(path)}`;
  try {
    if (statSync(path).isDirectory()) return undefined;
    return `${where} is not a directory: correct spec.workingDir`;
  } catch (thrown) {
    return errorCode(thrown) === 'ENOENT'
      ? `${where} does not exist: create it, or correct spec.workingDir`
      : `${where} cannot be used (${errorCode(thrown) ?? 'unknown error'}): correct spec.workingDir or its permissions`;
  }
}

function spawnFault(file: string, thrown: unknown): string {
  const program = `program ${shown(file)}`;
  const code = errorCode(thrown);
  switch (code) {
    case 'ENOENT':
      return file.includes('/')
        ? `${program} does not exist, or what its #! line names: install it, or correct the path`
        : `${program} was not found in PATH: install it, or give its full path`;
    case 'ENOTDIR':
      return `${program} does not exist: correct the path`;
    case 'EACCES':
      return `${program} is not executable: chmod +x it, or name another`;
    case 'ENOEXEC':
      return `${program} is not in a format this machine can run: give a script a #! line, or install the right build`;
    case 'E2BIG':
      return `${program}: its arguments and environment are too long for this system (a single argument: 128 KiB): shorten the prompt, or use type command, which reads it from stdin`;
    default:
      return `${program} cannot be started: ${escapeControls(clampUtf8(toError(thrown).message, 300))}`;
  }
}

function shown(text: string): string {
  return JSON.stringify(escapeControls(clampUtf8(text, 200)));
}
