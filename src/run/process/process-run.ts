import type { ChildProcess } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import { abortable } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Run, RunRecord } from '../runner.ts';
import { endProcessGroup } from './process-group.ts';
import { currentBootId, isAlive } from './process-identity.ts';
import { type RunState, readRecord, readState } from './run-folder.ts';

export interface ProcessRunOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** From asking what a lost keeper left behind to end, to forcing it. */
  readonly graceMs: number;
}

/** How often a run that this process did not start is looked at: a killed keeper makes no sound. */
const lookMs = 1_000;
/** How long what a lost keeper left behind may take to end politely. */
const lostGraceMs = 2_000;

/**
 * One run in its folder. It is over when its keeper has written how it ended, or when the keeper is gone without
 * having done so; then what is left of the program is ended first, if it is certain that it is the program.
 */
export class ProcessRun implements Run {
  readonly progress: { readonly startedAt: number };
  readonly #options: ProcessRunOptions;
  readonly #state: RunState | 'unreadable';
  readonly #record: Promise<RunRecord>;
  #settle: (record: RunRecord) => void = () => {};
  #keeper: ChildProcess | undefined;
  #cancelled = false;
  #over = false;
  #watcher: FSWatcher | undefined;
  #stopLooking: () => void = () => {};
  #looking = false;
  #lookAgain = false;
  readonly #abandoned = new AbortController();

  constructor(options: ProcessRunOptions, state: RunState | 'unreadable') {
    this.#options = options;
    this.#state = state;
    this.progress = { startedAt: state === 'unreadable' ? options.clock.now() : state.startedAt };
    this.#record = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** A process runs from the start: there is nothing to tell. */
  onProgress(): void {}

  ended(signal: AbortSignal): Promise<RunRecord> {
    return abortable(this.#record, signal);
  }

  /** Resolves when it is over; never when it is abandoned before. */
  async whenOver(): Promise<void> {
    await this.#record;
  }

  cancel(): void {
    if (this.#over || this.#cancelled || this.#state === 'unreadable') return;
    this.#cancelled = true;
    if (this.#keeper !== undefined) this.#keeper.kill('SIGTERM');
    else if (isAlive(this.#state.keeper)) signalProcess(this.#state.keeper.pid);
  }

  /** Waits for a keeper that is a child of this process. */
  attend(keeper: ChildProcess): void {
    this.#keeper = keeper;
    keeper.once('exit', () => this.#look());
  }

  /** Waits for a keeper that an earlier engine started. */
  follow(): void {
    try {
      this.#watcher = watch(this.#options.folder, { persistent: false }, () => this.#look());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // Too many watches, or the folder is gone: looking now and then is enough.
    }
    this.#look();
  }

  /** Waits no more. */
  abandon(): void {
    this.#over = true;
    this.#abandoned.abort();
    this.#stopLooking();
    this.#watcher?.close();
  }

  #look(): void {
    if (this.#over) return;
    this.#lookAgain = true;
    if (!this.#looking) void this.#lookUntilQuiet();
  }

  /** One look at a time; what happens during one is looked at by the next. */
  async #lookUntilQuiet(): Promise<void> {
    this.#looking = true;
    this.#stopLooking();
    while (this.#lookAgain && !this.#over) {
      this.#lookAgain = false;
      const record = await this.#find().catch((thrown: unknown) => {
        this.#options.log.warn('a run cannot be looked at', { error: toError(thrown).message });
        return undefined;
      });
      if (record !== undefined && !this.#over) this.#end(record);
    }
    this.#looking = false;
    if (!this.#over) this.#stopLooking = this.#options.clock.after(lookMs, () => this.#look());
  }

  #end(record: RunRecord): void {
    this.abandon();
    this.#settle(record);
  }

  /** How it ended; undefined while it goes on. */
  async #find(): Promise<RunRecord | undefined> {
    const gone = !this.#keeperRuns();
    // Read after the keeper was looked for: its last act is to write it.
    const record = await readRecord(this.#options.folder);
    return record ?? (gone ? this.#lost() : undefined);
  }

  #keeperRuns(): boolean {
    if (this.#keeper !== undefined) return this.#keeper.exitCode === null && this.#keeper.signalCode === null;
    return this.#state !== 'unreadable' && isAlive(this.#state.keeper);
  }

  /** Ends what is left of the program, and says what happened. */
  async #lost(): Promise<RunRecord> {
    const { folder, clock, graceMs } = this.#options;
    const state = await readState(folder);
    const agent = state === undefined || state === 'unreadable' ? undefined : state.agent;
    // The identity, not the pid, decides: by now another program may have that pid.
    if (agent !== undefined && isAlive(agent))
      await endProcessGroup(agent.pid, Math.min(graceMs, lostGraceMs), this.#abandoned.signal, clock);
    const now = clock.now();
    return {
      outcome: { kind: 'lost', message: lossOf(this.#state) },
      cancelled: this.#cancelled,
      startedAt: this.progress.startedAt,
      finishedAt: Math.max(now, this.progress.startedAt),
      outputs: [],
      results: {},
      outputsLeftOut: 0,
      lastLine: '',
    };
  }
}

function lossOf(state: RunState | 'unreadable'): string {
  if (state === 'unreadable')
    return 'the record of its process cannot be read, so nobody knows how it ended; run it again';
  const { keeper } = state;
  if (keeper.bootId !== currentBootId())
    return 'the machine was restarted while it ran, so nobody knows how it ended; run it again';
  return `its keeper (process ${keeper.pid}) was killed or crashed while it ran, so nobody knows how it ended; see its log, and run it again`;
}

/** Asks one process to end; one that is gone needs no asking. */
function signalProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (thrown) {
    if (errorCode(thrown) !== 'ESRCH') throw thrown;
  }
}
