/**
 * The keeper: a small program that the engine starts beside each run, and that outlives the engine. It reads its
 * job from stdin, starts the program, keeps its log, ends it when it must, and writes down how it ended.
 *
 * K1. Nothing is started before the whole job is there; state.json, written by the engine, is there before that.
 *     A job that breaks off means that the engine died: state.json goes, and the run has never been.
 * K2. exit.json is written last, when the program's process group has ended or was killed.
 * K3. Memory does not grow with what the program prints, nor time with what its children leave open.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../base/abort.ts';
import { systemClock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { withoutHidden } from '../hidden-values.ts';
import { lastLineOf, outputsTailBytes, parseOutputs } from '../outputs.ts';
import type { RunOutcome, RunRecord } from '../runner.ts';
import { CappedLog } from './capped-log.ts';
import { endProcessGroup } from './process-group.ts';
import { identityOf, signalGroup } from './process-identity.ts';
import { type Program, startProgram } from './program.ts';
import { jobEnd, type KeeperJob, readState, runFile, writeRecord } from './run-folder.ts';

/** How long children that stay behind may take to end politely. */
const leftoverGraceMs = 2_000;
/** How long output is still read when something outside the process group holds it open. */
const drainMs = 1_000;
/** Between tries to write down the end: a full disk may get room again. */
const recordRetryMs = 1_000;

const never = new AbortController().signal;

class Keeper {
  readonly #folder: string;
  #program: Program | undefined;
  #graceMs = 0;
  #stopped: 'cancel' | 'deadline' | undefined;
  #cancelKill: () => void = () => {};
  cancelled = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  cancel(): void {
    this.cancelled = true;
    this.#stop('cancel');
  }

  async run(job: KeeperJob): Promise<RunRecord> {
    const startedAt = Date.now();
    const log = this.#openLog(job);
    if (typeof log === 'string') return this.#notStarted(startedAt, log);
    if (this.cancelled) return this.#notStarted(startedAt, 'it was stopped before it was started');
    const program = await startProgram(job, this.#folder);
    if (typeof program === 'string') {
      log.close();
      return this.#notStarted(startedAt, program);
    }
    const outcome = await this.#keep(program, job, log);
    const tail = withoutHidden(log.tail(), job.hidden);
    log.close();
    return {
      ...this.#record(startedAt, outcome),
      ...parseOutputs(tail),
      lastLine: lastLineOf(tail),
    };
  }

  async #keep(program: Program, job: KeeperJob, log: CappedLog): Promise<RunOutcome> {
    this.#program = program;
    this.#graceMs = job.graceMs;
    const drained = Promise.all(
      program.output.map(
        (stream) =>
          new Promise<void>((resolve) => {
            stream.on('data', (chunk: Buffer) => log.append(chunk));
            stream.on('error', () => {});
            stream.on('close', resolve);
          }),
      ),
    );
    const noted = this.#noteAgent(program.pid);
    const cancelDeadline =
      job.deadlineMs === undefined
        ? () => {}
        : systemClock.after(job.deadlineMs, () => this.#stop('deadline'));
    // It may have been asked to stop while it was being started.
    if (this.cancelled) this.#stop('cancel');
    const { code, signal } = await program.exit;
    // From here on its pid may come to be another's.
    this.#program = undefined;
    cancelDeadline();
    this.#cancelKill();
    await endProcessGroup(program.pid, Math.min(job.graceMs, leftoverGraceMs), never, systemClock);
    await Promise.race([drained, sleep(drainMs, never)]);
    for (const stream of program.output) stream.destroy();
    await noted;
    if (this.#stopped === 'deadline') return { kind: 'deadline' };
    return signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'signaled', signal };
  }

  /** Asks the process group to end, once, and forces it after the grace time. */
  #stop(reason: 'cancel' | 'deadline'): void {
    if (this.#program === undefined || this.#stopped !== undefined) return;
    this.#stopped = reason;
    const { pid } = this.#program;
    signalGroup(pid, 'SIGTERM');
    this.#cancelKill = systemClock.after(this.#graceMs, () => signalGroup(pid, 'SIGKILL'));
  }

  /** Writes down who the program is, so that it can be told from others when the keeper is gone. */
  async #noteAgent(pid: number): Promise<void> {
    const agent = identityOf(pid);
    const state = await readState(this.#folder);
    if (agent === undefined || state === undefined || state === 'unreadable') return;
    await writeRecord(this.#folder, runFile.state, { ...state, agent }).catch(() => {
      // A full disk: then only the keeper can end it.
    });
  }

  #openLog(job: KeeperJob): CappedLog | string {
    try {
      return new CappedLog({
        path: join(this.#folder, runFile.log),
        headBytes: job.logHeadBytes,
        tailBytes: outputsTailBytes,
      });
    } catch (thrown) {
      return `its log cannot be opened (${errorCode(thrown) ?? 'unknown error'}): make room and check the permissions of the store's folder`;
    }
  }

  #notStarted(startedAt: number, message: string): RunRecord {
    const nothing = { outputs: [], results: {}, outputsLeftOut: 0, lastLine: '' };
    return { ...this.#record(startedAt, { kind: 'notStarted', message }), ...nothing };
  }

  #record(
    startedAt: number,
    outcome: RunOutcome,
  ): Pick<RunRecord, 'outcome' | 'cancelled' | 'startedAt' | 'finishedAt'> {
    return { outcome, cancelled: this.cancelled, startedAt, finishedAt: Math.max(Date.now(), startedAt) };
  }
}

/** The job; undefined when the engine died before it had said it all (K1). */
async function readJob(): Promise<KeeperJob | undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text.endsWith(jobEnd) ? (JSON.parse(text) as KeeperJob) : undefined;
}

/** Tries until it is written, or there is no folder to write it into any more. */
async function recordEnd(folder: string, record: RunRecord): Promise<void> {
  for (;;) {
    try {
      await writeRecord(folder, runFile.exit, record);
      return;
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return;
      process.stderr.write(`telos keeper: ${toError(thrown).message}\n`);
      await new Promise((resolve) => setTimeout(resolve, recordRetryMs));
    }
  }
}

async function main(folder: string): Promise<void> {
  const keeper = new Keeper(folder);
  process.on('SIGTERM', () => keeper.cancel());
  process.on('SIGINT', () => keeper.cancel());
  process.on('SIGHUP', () => {});
  const job = await readJob();
  if (job === undefined) {
    // The next engine may have begun anew meanwhile: what another keeper is named in is not ours to remove.
    const state = await readState(folder);
    const isOurs = typeof state === 'object' && state.keeper.pid === process.pid;
    if (isOurs) await rm(join(folder, runFile.state), { force: true });
    return;
  }
  // The clock's timers do not keep a process alive, and there are moments when it has nothing else.
  const alive = setInterval(() => {}, 1 << 30);
  await recordEnd(folder, await keeper.run(job));
  clearInterval(alive);
}

await main(process.argv[2] ?? '');
