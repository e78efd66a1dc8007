import type { Task } from '../api/task.ts';
import { keyOf, keyText } from '../store/store.ts';
import type { RunFact } from './decide-task.ts';
import type { Run, Runner, RunRecord } from './runner.ts';

interface Tracked {
  readonly run: Run;
  record: RunRecord | undefined;
}

/** The runs of Tasks that have not ended in the store, by uid of the Task. */
export class TrackedRuns {
  readonly #runner: Runner;
  readonly #onChange: (key: string) => void;
  readonly #runs = new Map<string, Tracked>();
  #signal: AbortSignal = new AbortController().signal;

  /** `onChange` is told the key of the Task when its run has become known, come further, or ended. */
  constructor(runner: Runner, onChange: (key: string) => void) {
    this.#runner = runner;
    this.#onChange = onChange;
  }

  /** From now on waits end when this signal aborts. */
  begin(signal: AbortSignal): void {
    this.#signal = signal;
  }

  /** How many are under way. */
  get running(): number {
    let count = 0;
    for (const { record } of this.#runs.values()) if (record === undefined) count += 1;
    return count;
  }

  isRunning(uid: string): boolean {
    const tracked = this.#runs.get(uid);
    return tracked !== undefined && tracked.record === undefined;
  }

  track(task: Task, run: Run): void {
    const { uid } = task.metadata;
    const tracked: Tracked = { run, record: undefined };
    this.#runs.set(uid, tracked);
    const key = keyText(keyOf(task));
    run.onProgress(() => this.#onChange(key));
    run.ended(this.#signal).then(
      (record) => {
        tracked.record = record;
        this.#onChange(key);
      },
      // Stopped: the next engine finds it.
      () => {},
    );
  }

  /** What is known of the run of a Task: of one never seen before, what the runner finds. */
  async factOf(task: Task, signal: AbortSignal): Promise<RunFact> {
    const { uid } = task.metadata;
    if (!this.#runs.has(uid)) {
      if (!this.#runner.isSynced) return this.#unknown(task);
      const found = await this.#runner.find(uid, signal);
      if (found !== undefined) this.track(task, found);
    }
    const tracked = this.#runs.get(uid);
    if (tracked === undefined) return { kind: 'none' };
    const { run, record } = tracked;
    return record === undefined ? { kind: 'running', progress: run.progress } : { kind: 'ended', record };
  }

  /** The same of a Task that has ended in the store: how its run ended does not matter any more. */
  async remainsOf(task: Task, signal: AbortSignal): Promise<RunFact> {
    const { uid } = task.metadata;
    if (!this.#runs.has(uid) && !this.#runner.isSynced) return this.#unknown(task);
    const run = this.#runs.get(uid)?.run ?? (await this.#runner.find(uid, signal));
    return run === undefined || run.isOver ? { kind: 'none' } : this.factOf(task, signal);
  }

  /** Nobody waits for that here: what becomes of the Task meanwhile may matter more. */
  #unknown(task: Task): RunFact {
    const key = keyText(keyOf(task));
    this.#runner.synced(this.#signal).then(
      () => this.#onChange(key),
      () => {},
    );
    return { kind: 'unknown' };
  }

  cancel(uid: string): void {
    this.#runs.get(uid)?.run.cancel();
  }

  /** Its Task has ended in the store. */
  forget(uid: string): void {
    this.#runs.delete(uid);
  }

  /** Its Task is gone, by force: nobody waits for its end, and nobody else will clean up after it. */
  async drop(uid: string): Promise<void> {
    const tracked = this.#runs.get(uid);
    if (tracked === undefined) return;
    this.#runs.delete(uid);
    tracked.run.cancel();
    await tracked.run.ended(this.#signal);
    await this.#runner.forget(uid);
  }
}
