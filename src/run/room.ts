import { setMaxListeners } from 'node:events';
import { toError } from '../base/errors.ts';
import { isStoreError, retryLogLevel } from '../store/errors.ts';
import type { Room, RoomDeps } from '../store/room.ts';
import { type Key, keyText, parseKeyText } from '../store/store.ts';
import type { View, ViewChange } from '../store/view.ts';
import { Workqueue } from '../store/workqueue.ts';
import { BranchLocks, nextInQueue } from './branch-locks.ts';
import { TaskController } from './controller.ts';
import { Dependents } from './dependents.ts';
import { createRunMetrics } from './metrics.ts';
import { PhaseCounts } from './phase-counts.ts';
import type { Runner } from './runner.ts';
import { sweepRuns } from './sweep-runs.ts';
import { TrackedRuns } from './tracked-runs.ts';
import { type ActiveTask, type WatchedTask, watchedTask } from './watched-task.ts';

export interface RunSettings {
  readonly runner: Runner;
}

export interface RunRoom extends Room {
  /** Whether it knows of all runs that there are. */
  readonly knowsRuns: boolean;
  /** Resolves when it does. @throws the signal's reason when it aborts first. */
  untilRunsKnown(signal: AbortSignal): Promise<void>;
}

/** Tasks looked at side by side. */
const concurrency = 16;
/** A delay from which on a Task in trouble gets an Event: it is not a hiccup. */
const sayAfterMs = 5_000;

/** Tasks become outcomes. */
export function createRunRoom(deps: RoomDeps, settings: RunSettings): RunRoom {
  return new Running(deps, settings);
}

class Running implements RunRoom {
  readonly #deps: RoomDeps;
  readonly #runner: Runner;
  readonly #queue: Workqueue;
  readonly #view: View<WatchedTask>;
  readonly #runs: TrackedRuns;
  readonly #locks = new BranchLocks();
  readonly #dependents = new Dependents();
  readonly #phases = new PhaseCounts();

  constructor(deps: RoomDeps, { runner }: RunSettings) {
    this.#deps = deps;
    this.#runner = runner;
    this.#queue = new Workqueue({
      reconcile: (key, signal) => controller.reconcile(key, signal),
      clock: deps.clock,
      concurrency,
      onError: (key, error, backoffMs) => this.#trouble(key, error, backoffMs),
    });
    this.#runs = new TrackedRuns(runner, (key) => this.#queue.add(key));
    this.#view = deps.informers.of('Task').view<WatchedTask>({
      select: (task) => watchedTask(task, runner.goesWithTask),
      groupBy: (task) => (task.kind === 'active' ? task.branchKey : undefined),
      onChange: (change) => this.#onChange(change),
    });
    const controller = new TaskController({
      ...deps,
      runner,
      view: this.#view,
      runs: this.#runs,
      locks: this.#locks,
      wakeBranch: (task) => this.#wakeBranch(task),
      runMetrics: createRunMetrics(deps.metrics, {
        running: () => this.#runs.running,
        queueDepth: () => this.#queue.depth,
        inPhase: (phase) => this.#phases.of(phase),
      }),
    });
  }

  get knowsRuns(): boolean {
    return this.#runner.isSynced;
  }

  untilRunsKnown(signal: AbortSignal): Promise<void> {
    return this.#runner.synced(signal);
  }

  /** Ends without ending the programs: they go on, and the next engine takes them up. */
  async run(stopping: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stopping]);
    // Every run waits on it, however many there are.
    setMaxListeners(0, signal);
    this.#runs.begin(signal);
    const following = this.#runner.follow(signal);
    try {
      // Who holds a branch must be known before anybody is let go.
      await this.#deps.informers.of('Task').synced(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      throw toError(thrown);
    }
    await Promise.all([this.#queue.run(signal), sweepRuns(this.#deps, this.#runner, signal), following]);
  }

  #onChange({ key, before, now }: ViewChange<WatchedTask>): void {
    this.#phases.change(before, now);
    const text = keyText(key);
    const was = before?.kind === 'active' ? before : undefined;
    const is = now?.kind === 'active' ? now : undefined;
    if (now !== undefined) this.#queue.add(text);
    if (was !== undefined && was.uid === is?.uid) {
      if (was.inBranchQueue && !is.inBranchQueue) this.#wakeBranch(is);
      return;
    }
    if (was !== undefined) {
      this.#dependents.remove(key.namespace, text, was.dependsOn);
      this.#locks.release(was);
      this.#wakeBranch(was);
    }
    if (before !== undefined) {
      this.#left(key, before.uid).catch((thrown: unknown) => {
        this.#deps.log.warn('the run of a Task that is gone may still be there', {
          task: text,
          uid: before.uid,
          error: toError(thrown).message,
        });
      });
    }
    if (is !== undefined) this.#dependents.add(key.namespace, text, is.dependsOn);
    for (const dependent of this.#dependents.of(text)) this.#queue.add(dependent);
  }

  /**
   * The view no longer shows a Task as it was. One that has ended leaves it, but so does one that somebody
   * removed by force while it ran: nobody else would end its program.
   */
  async #left(key: Key, uid: string): Promise<void> {
    if (!this.#runs.isRunning(uid)) return this.#runs.forget(uid);
    const present = await this.#deps.store.get('Task', key).catch((thrown: unknown) => {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    });
    if (present?.metadata.uid === uid) this.#runs.forget(uid);
    else await this.#runs.drop(uid);
  }

  #wakeBranch({ branchKey }: ActiveTask): void {
    if (branchKey === undefined) return;
    const group = [...this.#view.group(branchKey)].filter((task) => task.kind === 'active');
    const next = nextInQueue(group);
    if (next !== undefined) this.#queue.add(keyText({ namespace: namespaceOf(branchKey), name: next.name }));
  }

  #trouble(key: string, error: Error, backoffMs: number): void {
    this.#deps.log[retryLogLevel(error)]('a Task will be tried again', {
      task: key,
      error: error.message,
      backoffMs: Math.round(backoffMs),
    });
    if (backoffMs < sayAfterMs) return;
    const { namespace, name } = parseKeyText(key);
    const uid = this.#view.get({ namespace, name })?.uid;
    if (uid !== undefined)
      this.#deps.events.record(
        { kind: 'Task', namespace, name, uid },
        'Warning',
        'RunError',
        `it will be tried again: ${error.message}`,
      );
  }
}

function namespaceOf(branchKey: string): string {
  return parseKeyText(branchKey).namespace;
}
