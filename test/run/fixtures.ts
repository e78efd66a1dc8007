import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { apiVersionOf, type Draft } from '../../src/api/kinds.ts';
import type { Task, TaskSpec } from '../../src/api/task.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createProcessRunner, type ProcessRunnerOptions } from '../../src/run/process/process-runner.ts';
import type { Run, Runner, RunRecord } from '../../src/run/runner.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let built: Promise<string> | undefined;

/** The keeper, built as `npm run build` does, once for all tests of this process. */
export function builtKeeper(): Promise<string> {
  built ??= buildKeeper();
  return built;
}

async function buildKeeper(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-keeper-'));
  const outfile = join(folder, 'keeper.mjs');
  await build({
    absWorkingDir: root,
    entryPoints: ['src/run/process/keeper.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.20',
    logLevel: 'warning',
  });
  process.once('exit', () => void rm(folder, { recursive: true, force: true }));
  return outfile;
}

/** Processes in a throw-away folder. */
export class Workshop {
  readonly directory: string;
  readonly #keeperPath: string;
  readonly #runs: Run[] = [];
  #tasks = 0;

  private constructor(directory: string, keeperPath: string) {
    this.directory = directory;
    this.#keeperPath = keeperPath;
  }

  static async open(): Promise<Workshop> {
    return new Workshop(await mkdtemp(join(tmpdir(), 'telos-runs-')), await builtKeeper());
  }

  /** A runner on the folder; each stands for an engine of its own. */
  runner(options: Partial<ProcessRunnerOptions> = {}): Runner {
    return createProcessRunner({
      directory: this.directory,
      keeperPath: this.#keeperPath,
      clock: systemClock,
      log: silentLogger,
      graceMs: 300,
      ...options,
    });
  }

  get keeperPath(): string {
    return this.#keeperPath;
  }

  task(spec: Partial<TaskSpec> = {}, uid?: string): Task {
    this.#tasks += 1;
    return taskOf(`t${this.#tasks}`, spec, uid ?? `uid-${this.#tasks}`);
  }

  async start(task: Task, runner: Runner = this.runner()): Promise<Run> {
    const started = await runner.start(
      { task, prompt: task.spec.prompt ?? '', readSecret: async () => undefined },
      new AbortController().signal,
    );
    if (started.kind !== 'started') throw new Error(`${started.kind}: ${started.message}`);
    this.#runs.push(started.run);
    return started.run;
  }

  /** Runs a shell script to its end. */
  async sh(script: string, spec: Partial<TaskSpec> = {}, options: Partial<ProcessRunnerOptions> = {}) {
    const task = this.task({ command: ['sh', '-c', script], ...spec });
    return ended(await this.start(task, this.runner(options)));
  }

  /** Ends what still runs and removes the folder. */
  async close(): Promise<void> {
    for (const run of this.#runs) run.cancel();
    await Promise.all(this.#runs.map((run) => ended(run)));
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function ended(run: Run): Promise<RunRecord> {
  return run.ended(new AbortController().signal);
}

/** A Task as a store gives it out. */
export function taskOf(name: string, spec: Partial<TaskSpec>, uid: string): Task {
  return {
    apiVersion: apiVersionOf('Task'),
    kind: 'Task',
    metadata: {
      name,
      namespace: 'default',
      uid,
      resourceVersion: '1',
      creationTimestamp: '2026-01-02T03:04:05Z',
    },
    spec: { type: 'command', ...spec },
  };
}

/** A Task to be created, which runs a shell script. */
export function shellTask(name: string, script: string, spec: Partial<TaskSpec> = {}): Draft<'Task'> {
  return {
    apiVersion: apiVersionOf('Task'),
    kind: 'Task',
    metadata: { name, namespace: 'default' },
    spec: { type: 'command', command: ['sh', '-c', script], ...spec },
  };
}
