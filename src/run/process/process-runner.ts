import { type ChildProcess, spawn } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import { mkdir, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '../../api/task.ts';
import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { RunInput, Runner, RunOutcome, Started } from '../runner.ts';
import { isAlive } from './identity.ts';
import { orderRun } from './order.ts';
import { type KeeperOrder, RunExit, RunState, readRunFile, runFiles } from './run-files.ts';

export interface ProcessRunnerOptions {
  /** One folder per run is made in it. */
  readonly directory: string;
  /** The keeper's program, `dist/keeper.js`. */
  readonly keeperPath: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** From TERM to KILL, in milliseconds. Default: 10 s. */
  readonly graceMs?: number;
  /** The log keeps so many bytes of the beginning of the output. Default: 10 MiB. */
  readonly logBytes?: number;
}

/** Where the log of a Task's run is. */
export function logPath(directory: string, uid: string): string {
  return join(directory, uid, runFiles.log);
}

/** Runs Tasks as child processes of keepers, which outlive this process. */
export function createProcessRunner(options: ProcessRunnerOptions): Runner {
  return new ProcessRunner(options);
}

const defaultGraceMs = 10_000;
const defaultLogBytes = 10 * 1024 * 1024;
/** A run that is not our child is looked at so often, besides being watched: a keeper that was killed leaves no trace. */
const lookAgainMs = 1_000;
/** A folder without a state is that of a keeper that has yet to begin; after so long it will not. */
const claimMs = 10_000;

class ProcessRunner implements Runner {
  readonly #options: ProcessRunnerOptions;
  /** The keepers that are children of this process. */
  readonly #keepers = new Map<string, ChildProcess>();

  constructor(options: ProcessRunnerOptions) {
    this.#options = options;
  }

  async has(uid: string): Promise<boolean> {
    return (
      this.#keepers.has(uid) || (await readRunFile(this.#folder(uid), runFiles.state, RunState)) !== undefined
    );
  }

  async start(task: Task, input: RunInput): Promise<Started> {
    const ordered = await orderRun({ ...input, task, environment: process.env });
    if (ordered.kind !== 'ordered') return ordered;
    const { graceMs = defaultGraceMs, logBytes = defaultLogBytes } = this.#options;
    const { uid } = task.metadata;
    const folder = this.#folder(uid);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { order } = ordered;
    const workingDir = order.workingDir ?? join(folder, runFiles.work);
    this.#keep(uid, folder, { ...order, workingDir, graceMs, logBytes });
    return { kind: 'started' };
  }

  #keep(uid: string, folder: string, order: KeeperOrder): void {
    const keeper = spawn(process.execPath, [this.#options.keeperPath, folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      // The program's environment comes with the order; the keeper itself needs next to none.
      env: { PATH: process.env['PATH'] },
    });
    this.#keepers.set(uid, keeper);
    keeper.once('error', (error) => {
      this.#keepers.delete(uid);
      this.#options.log.error('a keeper could not be started', { uid, error: error.message });
    });
    keeper.once('exit', () => this.#keepers.delete(uid));
    keeper.stdin.on('error', () => {});
    keeper.stdin.end(JSON.stringify(order));
    keeper.unref();
  }

  async outcome(uid: string, signal: AbortSignal): Promise<RunOutcome> {
    const folder = this.#folder(uid);
    const began = this.#options.clock.monotonic();
    for (;;) {
      signal.throwIfAborted();
      const exit = await readRunFile(folder, runFiles.exit, RunExit);
      if (exit !== undefined) return { ...exit, lastLine: exit.lastLine };
      const state = await readRunFile(folder, runFiles.state, RunState);
      const claimed = state !== undefined;
      const late = this.#options.clock.monotonic() - began > claimMs;
      const alive = this.#keepers.has(uid) || (claimed ? isAlive(state.keeper) : !late);
      if (!alive) return await this.#lost(folder, state);
      await this.#change(uid, folder, signal);
    }
  }

  async cancel(uid: string): Promise<void> {
    const keeper = this.#keepers.get(uid);
    if (keeper !== undefined) {
      keeper.kill('SIGTERM');
      return;
    }
    const state = await readRunFile(this.#folder(uid), runFiles.state, RunState);
    if (state !== undefined && isAlive(state.keeper)) process.kill(state.keeper.pid, 'SIGTERM');
  }

  async forget(uid: string): Promise<void> {
    await rm(this.#folder(uid), { recursive: true, force: true });
  }

  async *list(): ReturnType<Runner['list']> {
    for await (const uid of folderNames(this.#options.directory)) {
      const state = await readRunFile(this.#folder(uid), runFiles.state, RunState);
      if (state !== undefined) yield { uid, ...state.task };
    }
  }

  /** The keeper is gone and left no exit file: what is left of the program is stopped. */
  async #lost(folder: string, state: RunState | undefined): Promise<RunOutcome> {
    // It may have written the file between our two looks.
    const exit = await readRunFile(folder, runFiles.exit, RunExit);
    if (exit !== undefined) return { ...exit, lastLine: exit.lastLine };
    if (state?.program !== undefined && isAlive(state.program)) stopGroup(state.program.pid);
    const message =
      state === undefined
        ? 'the program was not started: its keeper did not begin'
        : 'nobody saw how the program ended: the machine was restarted, or its keeper was killed';
    const finishedAt = this.#options.clock.now();
    return { end: { kind: 'lost', message }, finishedAt, outputs: [], results: {}, lastLine: undefined };
  }

  /** Resolves when something may have changed: a file of the run, the end of the keeper, or some time has passed. */
  async #change(uid: string, folder: string, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const keeper = this.#keepers.get(uid);
    const wake = (): void => done.abort();
    keeper?.once('exit', wake);
    let watcher: FSWatcher | undefined;
    try {
      // A keeper of our own tells us by ending; others can only be watched.
      if (keeper === undefined) watcher = watchFolder(folder, wake);
      await sleep(lookAgainMs, stop, this.#options.clock).catch(() => {});
      signal.throwIfAborted();
    } finally {
      keeper?.off('exit', wake);
      watcher?.close();
    }
  }

  #folder(uid: string): string {
    return join(this.#options.directory, uid);
  }
}

function watchFolder(folder: string, wake: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, wake);
    watcher.on('error', wake);
    return watcher;
  } catch {
    // Not every file system can be watched; time passes everywhere.
    return undefined;
  }
}

function stopGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (thrown) {
    if (errorCode(thrown) !== 'ESRCH') throw toError(thrown);
  }
}

async function* folderNames(directory: string): AsyncIterable<string> {
  try {
    for await (const entry of await opendir(directory)) if (entry.isDirectory()) yield entry.name;
  } catch (thrown) {
    if (errorCode(thrown) !== 'ENOENT') throw thrown;
  }
}
