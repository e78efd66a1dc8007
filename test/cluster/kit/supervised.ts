import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program for a supervisor to run. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Default: the supervisor's folder. */
  readonly cwd?: string;
  /** Default: the test's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The file that takes what it writes. */
  readonly log: string;
  /** Whether the log is kept line by line, each with its time and stream, as container runtimes do. */
  readonly lines?: boolean;
}

/** How a program ended: one of the two is null. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that a supervisor has started, in a session of its own. */
export interface RunningProgram {
  readonly pid: number;
  /** Resolves when it has ended and its log is complete. */
  readonly ended: Promise<ProgramEnd>;
  /** Signals the program, or with `group` all that it started as well. Does nothing once it has ended. */
  signal(signal: NodeJS.Signals, group?: boolean): void;
}

type Report =
  | { readonly id: number; readonly pid: number }
  | { readonly id: number; readonly failed: string }
  | ({ readonly id: number } & ProgramEnd);

/** Runs programs that end, at the latest, with the process that asked for them. */
export class Supervisor {
  /** A temporary folder that goes when the supervisor does. */
  readonly folder: string;
  readonly #process: ChildProcess;
  readonly #listeners = new Map<number, (report: Report) => void>();
  #lastId = 0;

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.#process = child;
    child.on('message', (report: Report) => this.#listeners.get(report.id)?.(report));
    child.on('exit', () => {
      for (const [id, listener] of this.#listeners) listener({ id, code: null, signal: 'SIGKILL' });
    });
  }

  static async start(): Promise<Supervisor> {
    const folder = await mkdtemp(join(tmpdir(), 'telos-cluster-'));
    const file = join(import.meta.dirname, 'supervisor.mjs');
    const child = fork(file, [folder], { cwd: folder, detached: true, execArgv: [], stdio: 'inherit' });
    await once(child, 'spawn');
    return new Supervisor(folder, child);
  }

  /** @throws when the program cannot be started. */
  run(program: Program): Promise<RunningProgram> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      let end: (end: ProgramEnd) => void = () => {};
      const ended = new Promise<ProgramEnd>((settle) => {
        end = settle;
      });
      let over = false;
      this.#listeners.set(id, (report) => {
        if ('pid' in report) {
          const signal = (name: NodeJS.Signals, group = false): void => {
            if (!over) trySignal(group ? -report.pid : report.pid, name);
          };
          resolve({ pid: report.pid, ended, signal });
          return;
        }
        over = true;
        this.#listeners.delete(id);
        if ('failed' in report) reject(new Error(report.failed));
        else end({ code: report.code, signal: report.signal });
      });
      this.#process.send({ id, program: { cwd: this.folder, ...program } }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  /** Ends every program, and resolves when they and the folder are gone. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.disconnect();
    await gone;
  }
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended in this very moment.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
