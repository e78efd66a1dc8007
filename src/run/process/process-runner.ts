import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { errorCode, TelosError, toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Run, Runner, RunRequest, StartResult } from '../runner.ts';
import { type Launch, planLaunch } from './agents.ts';
import { identityOf, isAlive } from './process-identity.ts';
import { ProcessRun } from './process-run.ts';
import {
  jobEnd,
  type KeeperJob,
  type RunState,
  readRecord,
  readState,
  runFile,
  syncFolder,
  writeRecord,
} from './run-folder.ts';

export interface ProcessRunnerOptions {
  /** One folder per run, named by the uid of its Task. Made when it is missing. */
  readonly directory: string;
  /** The built keeper program. */
  readonly keeperPath: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What programs inherit. Default: the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** From asking a program to stop to forcing it. Default 10 s. */
  readonly graceMs?: number;
  /** Bytes of a log's beginning that are kept; 256 KiB of its end are kept besides. Default 10 MiB. */
  readonly logHeadBytes?: number;
}

/** A process that cannot be started or kept on this machine. */
export class ProcessRunnerError extends TelosError {
  constructor(message: string, options?: ErrorOptions) {
    super('ProcessRunner', message, options);
  }
}

const defaultGraceMs = 10_000;
const defaultLogHeadBytes = 10 * 1024 * 1024;
/** Between looks at a run whose keeper, left by an engine that died, is just starting it. */
const startingLookMs = 20;

/** Where the log of a run is, whether it is there or not. */
export function logPath(directory: string, uid: string): string {
  return join(runFolder(directory, uid), runFile.log);
}

/**
 * Runs Tasks as processes of this machine, each with a keeper beside it that outlives the engine.
 * @throws ProcessRunnerError when there is no keeper program.
 */
export function createProcessRunner(options: ProcessRunnerOptions): Runner {
  try {
    accessSync(options.keeperPath, constants.R_OK);
  } catch (thrown) {
    throw new ProcessRunnerError(
      `the keeper program ${options.keeperPath} cannot be read: build it (npm run build)`,
      {
        cause: thrown,
      },
    );
  }
  return new ProcessRunner(options);
}

class ProcessRunner implements Runner {
  /** Nobody else ends a process, or removes its folder, with a log in it that may hold anything. */
  readonly goesWithTask = false;
  readonly #options: ProcessRunnerOptions;
  /** Runs that this process has started or found. */
  readonly #runs = new Map<string, ProcessRun>();

  constructor(options: ProcessRunnerOptions) {
    this.#options = options;
  }

  async start(request: RunRequest, signal: AbortSignal): Promise<StartResult> {
    const { env = process.env } = this.#options;
    const plan = await planLaunch(request, env);
    if (plan.kind !== 'ready') return plan;
    const { uid } = request.task.metadata;
    const folder = await this.#makeFolder(uid);
    signal.throwIfAborted();
    const run = await this.#startKeeper(folder, plan.launch);
    this.#remember(uid, run);
    return { kind: 'started', run };
  }

  async find(uid: string, signal: AbortSignal): Promise<Run | undefined> {
    const known = this.#runs.get(uid);
    if (known !== undefined) return known;
    const folder = runFolder(this.#options.directory, uid);
    const state = await this.#settledState(folder, signal);
    if (state === undefined) return undefined;
    const run = new ProcessRun(this.#runOptions(folder), state);
    this.#remember(uid, run);
    run.follow();
    return run;
  }

  async forget(uid: string): Promise<void> {
    this.#runs.get(uid)?.abandon();
    this.#runs.delete(uid);
    const folder = runFolder(this.#options.directory, uid);
    // What cannot be removed at once is often just being written by something that ends now.
    await rm(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  }

  async list(): Promise<readonly string[]> {
    try {
      const entries = await readdir(this.#options.directory, { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return [];
      throw thrown;
    }
  }

  /** Each run has a keeper of its own. */
  /** What runs is in its folder. */
  readonly isSynced = true;

  async synced(): Promise<void> {}

  async follow(): Promise<void> {}

  /** A run that is over is found in its folder. */
  #remember(uid: string, run: ProcessRun): void {
    this.#runs.set(uid, run);
    void run.whenOver().then(() => {
      if (this.#runs.get(uid) === run) this.#runs.delete(uid);
    });
  }

  #runOptions(folder: string): { folder: string; clock: Clock; log: Logger; graceMs: number } {
    const { clock, log, graceMs = defaultGraceMs } = this.#options;
    return { folder, clock, log, graceMs };
  }

  /** The folder of a new run, which may be there from a start that broke off before anything ran. */
  async #makeFolder(uid: string): Promise<string> {
    const { directory } = this.#options;
    const folder = runFolder(directory, uid);
    try {
      await mkdir(join(folder, runFile.work), { recursive: true, mode: 0o700 });
      await syncFolder(directory);
    } catch (thrown) {
      throw new ProcessRunnerError(
        `the run folder ${folder} cannot be made (${errorCode(thrown) ?? toError(thrown).message}): make room, and check the permissions of ${directory}`,
        { cause: thrown },
      );
    }
    if ((await readState(folder)) !== undefined)
      throw new ProcessRunnerError(`${folder}: it was started before`);
    return folder;
  }

  async #startKeeper(folder: string, launch: Launch): Promise<ProcessRun> {
    const { clock, log } = this.#options;
    const keeper = await this.#spawnKeeper(folder);
    const identity = identityOf(keeper.pid ?? 0) ?? { pid: keeper.pid ?? 0, startTime: '', bootId: '' };
    const state: RunState = { keeper: identity, startedAt: clock.now() };
    try {
      await writeRecord(folder, runFile.state, state);
    } catch (thrown) {
      // It has no job yet, so it has started nothing, and now never will.
      keeper.kill('SIGKILL');
      await rm(join(folder, runFile.state), { force: true });
      throw thrown;
    }
    const run = new ProcessRun(this.#runOptions(folder), state);
    run.attend(keeper);
    const stdin = keeper.stdin;
    // A keeper that dies is seen by its exit.
    stdin?.on('error', (error) => log.debug('a keeper did not take its job', { error: error.message }));
    stdin?.end(`${JSON.stringify(this.#job(folder, launch))}${jobEnd}`);
    return run;
  }

  async #spawnKeeper(folder: string): Promise<ChildProcess> {
    const { keeperPath } = this.#options;
    const log = await open(join(folder, runFile.log), 'a', 0o600);
    try {
      const keeper = spawn(process.execPath, [keeperPath, folder], {
        cwd: folder,
        detached: true,
        env: keeperEnvironment(),
        // What the keeper itself has to say, should it fail, belongs into the log of the run.
        stdio: ['pipe', 'ignore', log.fd],
      });
      await once(keeper, 'spawn');
      // Neither it nor the pipe to it may keep the engine up.
      keeper.unref();
      return keeper;
    } finally {
      await log.close();
    }
  }

  #job(folder: string, launch: Launch): KeeperJob {
    const { graceMs = defaultGraceMs, logHeadBytes = defaultLogHeadBytes } = this.#options;
    const { workingDir = join(folder, runFile.work) } = launch;
    return { ...launch, workingDir, graceMs, logHeadBytes };
  }

  /**
   * The state of a run once it is clear whether anything was started: a keeper left by an engine that died may be
   * about to do so, or about to find its job incomplete and go.
   */
  async #settledState(folder: string, signal: AbortSignal): Promise<RunState | 'unreadable' | undefined> {
    for (;;) {
      const state = await readState(folder);
      if (state === undefined || state === 'unreadable' || state.agent !== undefined) return state;
      if (!isAlive(state.keeper) || (await readRecord(folder)) !== undefined) return readState(folder);
      await sleep(startingLookMs, signal, this.#options.clock);
    }
  }
}

function runFolder(directory: string, uid: string): string {
  // A uid becomes a name in a folder that is removed with all that is in it.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(uid))
    throw new ProcessRunnerError(`${JSON.stringify(uid.slice(0, 200))} is no uid of a Task`);
  return join(directory, uid);
}

/** What a Node program needs to start, and nothing else: options meant for the engine are not for its keepers. */
function keeperEnvironment(): Record<string, string> {
  const wanted = ['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot'];
  const kept = wanted.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), NODE_NO_WARNINGS: '1' };
}
