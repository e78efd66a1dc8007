// The keeper of one run: a process of its own that starts the program, writes its log, holds it to its deadline
// and records its true exit status, whether or not the engine that started it is still there.
//
//   keeper.js FOLDER   (the order, as JSON, on standard input)
//
// K1. The state file is created exclusively: of two keepers of one run the second ends without doing anything.
// K2. The exit file is written last and as a whole: who sees it knows that the program is gone.
// K3. Secrets come on standard input and go into the program's environment; no file holds them.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, fsyncSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { parseOutput } from '../outputs.ts';
import type { RunEnd } from '../runner.ts';
import { CappedLog } from './capped-log.ts';
import { identify } from './identity.ts';
import type { KeeperOrder, RunExit, RunState } from './run-files.ts';

/** Mirrors `runFiles` without its schemas, which would double the time a keeper takes to start. */
const files = { log: 'log', state: 'state.json', exit: 'exit.json' } as const;

/** After the program's end its output may go on so long, for what other processes of its group still write. */
const drainMs = 1_000;

type Stop = 'deadline' | 'canceled';

const folder = process.argv[2] ?? '';
let stopped: Stop | undefined;
let stopNow: (why: Stop) => void = (why) => {
  stopped ??= why;
};
process.on('SIGTERM', () => stopNow('canceled'));
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});

await keep(JSON.parse(await text(process.stdin)) as KeeperOrder);

async function keep(order: KeeperOrder): Promise<void> {
  const self = identify(process.pid);
  if (self === undefined || !claim({ task: order.task, keeper: self })) return;
  const descriptor = openSync(join(folder, files.log), 'a', 0o600);
  const log = new CappedLog(descriptor, order.logBytes);
  const fault = await startFault(order);
  const end: RunEnd = fault === undefined ? await run(order, log) : { kind: 'notStarted', message: fault };
  log.finish();
  closeSync(descriptor);
  const { outputs, results, lastLine } = parseOutput(log.tail);
  const exit: RunExit = {
    end: end as RunExit['end'],
    finishedAt: Date.now(),
    outputs,
    results,
    ...(lastLine === undefined ? {} : { lastLine }),
  };
  replace(files.exit, JSON.stringify(exit));

  /** Starts the program and waits until it and its group are gone. */
  function run(asked: KeeperOrder, into: CappedLog): Promise<RunEnd> {
    return new Promise((resolve) => {
      const [program = '', ...args] = asked.argv;
      const child = spawn(program, args, {
        cwd: asked.workingDir,
        env: { ...asked.env },
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child.once('error', (error) => resolve({ kind: 'notStarted', message: spawnFault(asked, error) }));
      child.once('spawn', () => {
        const identity = identify(child.pid ?? 0);
        if (self !== undefined && identity !== undefined) {
          replace(files.state, JSON.stringify({ task: asked.task, keeper: self, program: identity }));
        }
      });
      child.stdout.on('data', (chunk: Buffer) => into.add(chunk));
      child.stderr.on('data', (chunk: Buffer) => into.add(chunk));
      // A program that does not read its input is none the worse for it.
      child.stdin.on('error', () => {});
      child.stdin.end(asked.stdin);
      hold(child, asked, resolve);
    });
  }
}

/** Holds the program to its deadline, stops it when asked, and tells how it ended. */
function hold(child: ChildProcess, order: KeeperOrder, resolve: (end: RunEnd) => void): void {
  const { deadlineMs, graceMs } = order;
  const signalGroup = (signal: 'SIGTERM' | 'SIGKILL'): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // The group is gone.
    }
  };
  let cancelKill = (): void => {};
  stopNow = (why) => {
    if (stopped !== undefined && why !== 'deadline') return;
    stopped ??= why;
    signalGroup('SIGTERM');
    cancelKill = systemClock.after(graceMs, () => signalGroup('SIGKILL'));
  };
  const cancelDeadline =
    deadlineMs === undefined ? () => {} : systemClock.after(deadlineMs, () => stopNow('deadline'));
  child.once('exit', (code, signal) => {
    cancelDeadline();
    // What the program left behind in its group goes with it.
    signalGroup('SIGTERM');
    const end: RunEnd =
      stopped !== undefined
        ? { kind: stopped }
        : signal !== null
          ? { kind: 'signaled', signal }
          : { kind: 'exited', code: code ?? 1 };
    let over = false;
    const finish = (): void => {
      if (over) return;
      over = true;
      cancelKill();
      signalGroup('SIGKILL');
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve(end);
    };
    // `close` comes when nobody holds the pipes any more.
    child.once('close', finish);
    setTimeout(finish, drainMs);
  });
  if (stopped !== undefined) {
    const why = stopped;
    stopped = undefined;
    stopNow(why);
  }
}

/** Creates the state file if there is none (K1). */
function claim(state: RunState): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(join(folder, files.state), 'wx', 0o600);
  } catch (thrown) {
    if (errorCode(thrown) === 'EEXIST') return false;
    throw thrown;
  }
  writeSync(descriptor, JSON.stringify(state));
  fsyncSync(descriptor);
  closeSync(descriptor);
  return true;
}

/** Writes a file as a whole (K2). */
function replace(name: string, content: string): void {
  const path = join(folder, name);
  const descriptor = openSync(`${path}.tmp`, 'w', 0o600);
  writeSync(descriptor, content);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${path}.tmp`, path);
}

/** Why the program cannot be started, told more clearly than the system would. */
async function startFault({ argv, env, workingDir }: KeeperOrder): Promise<string | undefined> {
  if (workingDir.startsWith(folder)) await mkdir(workingDir, { recursive: true, mode: 0o700 });
  if (statSync(workingDir, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return `spec.workingDir: ${workingDir} is not a folder: make it, or choose another`;
  }
  const program = argv[0] ?? '';
  const paths =
    isAbsolute(program) || program.includes('/')
      ? [isAbsolute(program) ? program : join(workingDir, program)]
      : (env['PATH'] ?? '').split(delimiter).map((path) => join(path, program));
  let denied: string | undefined;
  for (const path of paths) {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) continue;
    try {
      await access(path, constants.X_OK);
      return undefined;
    } catch {
      denied = path;
    }
  }
  if (denied !== undefined) return `the program ${denied} is not executable: chmod +x it`;
  const where = program.includes('/') ? `at ${paths[0]}` : 'on PATH';
  return `there is no program ${JSON.stringify(program)} ${where}: install it, or name it by its path`;
}

function spawnFault({ argv }: KeeperOrder, error: Error): string {
  const program = JSON.stringify(argv[0] ?? '');
  switch (errorCode(error)) {
    case 'E2BIG':
      return `the arguments of ${program} are too long for this system: pass less, or use the standard input`;
    case 'ENOENT':
      return `${program} names an interpreter that is not there: check its first line`;
    default:
      return `${program} could not be started: ${errorCode(error) ?? toError(error).message}`;
  }
}
