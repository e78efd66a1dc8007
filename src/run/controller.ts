import { runFinalizer } from '../api/names.ts';
import type { Secret } from '../api/secret.ts';
import { type Task, terminalPhase } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';
import type { JsonObject } from '../base/json.ts';
import { isStoreError } from '../store/errors.ts';
import { subjectOf } from '../store/event-recorder.ts';
import type { RoomDeps } from '../store/room.ts';
import { type Key, keyOf, keyText, parseKeyText } from '../store/store.ts';
import type { View } from '../store/view.ts';
import type { Reconciled } from '../store/workqueue.ts';
import type { BranchLocks } from './branch-locks.ts';
import { type Completion, failure } from './completion.ts';
import { decideTask, isGivenUp, type RunFact, type TaskFacts, type TaskStep } from './decide-task.ts';
import {
  type DependencyVerdict,
  findCycle,
  isWaitingForDependency,
  judgeDependencies,
  promptWith,
} from './dependencies.ts';
import type { RunMetrics } from './metrics.ts';
import { PutOffs } from './put-offs.ts';
import type { Runner, RunProgress } from './runner.ts';
import { TaskStatusWriter } from './task-status.ts';
import type { TrackedRuns } from './tracked-runs.ts';
import { type ActiveTask, isHeldInVain, type WatchedTask } from './watched-task.ts';

export interface TaskControllerDeps extends RoomDeps {
  readonly runner: Runner;
  readonly runMetrics: RunMetrics;
  readonly view: View<WatchedTask>;
  readonly runs: TrackedRuns;
  readonly locks: BranchLocks;
  /** Looks anew at whoever waits for the branch of this Task. */
  readonly wakeBranch: (task: ActiveTask) => void;
}

/** How soon a Task is judged again when somebody else wrote it meanwhile. */
const conflictMs = 10;
/** How often a start is tried that waits for something outside, such as a Secret. */
const tryAgainMs = 5_000;
/** The same for what Kubernetes does by itself, mostly within a second. */
const trySoonMs = 500;
/** The longest that a clock which jumped goes unnoticed. */
const maxExpiryLookMs = 600_000;

/** Brings one Task to where it should be. */
export class TaskController {
  readonly #deps: TaskControllerDeps;
  readonly #write: TaskStatusWriter;
  readonly #putOffs: PutOffs;

  constructor(deps: TaskControllerDeps) {
    this.#deps = deps;
    this.#putOffs = new PutOffs(deps.clock);
    this.#write = new TaskStatusWriter(deps.store);
  }

  async reconcile(text: string, signal: AbortSignal): Promise<Reconciled | undefined> {
    const { view, clock } = this.#deps;
    const key = parseKeyText(text);
    const seen = view.get(key);
    if (seen?.kind !== 'active') this.#putOffs.forget(text);
    if (seen === undefined) return undefined;
    if (seen.kind === 'expiring' && seen.dueMs > clock.now()) return laterBy(seen.dueMs - clock.now());
    const task = await this.#get(key, signal);
    if (task === undefined || task.metadata.uid !== seen.uid) return undefined;
    try {
      return await this.#act(task, seen, signal);
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      if (isStoreError(thrown, 'Conflict')) return { againAfterMs: conflictMs };
      throw thrown;
    }
  }

  async #act(task: Task, seen: WatchedTask, signal: AbortSignal): Promise<Reconciled | undefined> {
    const step = decideTask(await this.#facts(task, signal));
    switch (step.do) {
      case 'nothing':
        return undefined;
      case 'lookAgain':
        return laterBy(step.afterMs);
      case 'wait':
        await this.#wait(task, step.message);
        return undefined;
      case 'start':
        return seen.kind === 'active' ? this.#start(task, seen, step.deps, signal) : undefined;
      default:
        return this.#move(task, step);
    }
  }

  async #move(
    task: Task,
    step: Extract<TaskStep, { do: 'markUnderWay' | 'cancel' | 'finish' | 'letGo' | 'giveUp' | 'delete' }>,
  ): Promise<undefined> {
    const { runs, runner } = this.#deps;
    const { uid } = task.metadata;
    switch (step.do) {
      case 'markUnderWay':
        await this.#markUnderWay(task, step.progress);
        return;
      case 'cancel':
        runs.cancel(uid);
        return;
      case 'finish':
        await this.#finish(task, step.completion);
        return;
      case 'letGo':
        // The log stays as long as the Task does; `sweepRuns` clears up after those that go later.
        if (task.metadata.deletionTimestamp !== undefined && !runner.goesWithTask) await runner.forget(uid);
        await this.#write.letGo(task);
        return;
      case 'giveUp':
        runs.cancel(uid);
        await this.#write.letGo(task);
        return;
      case 'delete':
        await this.#write.deleted(task);
        return;
    }
  }

  async #facts(task: Task, signal: AbortSignal): Promise<TaskFacts> {
    const { deletionTimestamp } = task.metadata;
    const run = await this.#runOf(task, signal);
    const fresh = run.kind === 'none' && terminalPhase(task) === undefined && deletionTimestamp === undefined;
    return {
      task,
      run,
      goesWithTask: this.#deps.runner.goesWithTask,
      dependencies: fresh ? await this.#dependenciesOf(task, signal) : { kind: 'met', deps: {} },
      // Once is enough: the one that closes a cycle finds it, and what a Task depends on never changes.
      cycle: fresh && !isWaitingForDependency(task) ? this.#cycleOf(task) : undefined,
      nowMs: this.#deps.clock.now(),
    };
  }

  /** Only what is held by the finalizer, or said to run or to have run, can have a run. */
  async #runOf(task: Task, signal: AbortSignal): Promise<RunFact> {
    const { runs, runner } = this.#deps;
    const { phase, jobName } = task.status ?? {};
    const isHeld = task.metadata.finalizers?.includes(runFinalizer) === true;
    const mayHaveRun = isHeld || phase === 'Running' || phase === 'Pending' || jobName !== undefined;
    if (!mayHaveRun || isGivenUp(task, runner.goesWithTask)) return { kind: 'none' };
    if (terminalPhase(task) === undefined) return runs.factOf(task, signal);
    // One that has ended and is held for nothing of its run needs nothing of it.
    if (!isHeldInVain(task, runner.goesWithTask)) return { kind: 'none' };
    return runs.remainsOf(task, signal);
  }

  async #dependenciesOf(task: Task, signal: AbortSignal): Promise<DependencyVerdict> {
    const { namespace } = task.metadata;
    const names = task.spec.dependsOn ?? [];
    const found = new Map(
      await Promise.all(
        names.map(async (name) => [name, await this.#get({ namespace, name }, signal)] as const),
      ),
    );
    return judgeDependencies(names, (name) => found.get(name));
  }

  #cycleOf(task: Task): string | undefined {
    const { namespace, name } = task.metadata;
    return findCycle(name, (dependency) => {
      const seen = this.#deps.view.get({ namespace, name: dependency });
      return seen?.kind === 'active' ? seen.dependsOn : [];
    });
  }

  async #start(
    task: Task,
    seen: ActiveTask,
    deps: JsonObject,
    signal: AbortSignal,
  ): Promise<Reconciled | undefined> {
    const leftMs = this.#putOffs.leftMs(keyText(keyOf(task)), task.metadata.uid);
    if (leftMs > 0) return { againAfterMs: leftMs };
    const blocked = this.#blocked(task, seen);
    if (blocked !== undefined) {
      await this.#wait(task, blocked);
      return undefined;
    }
    const pending = await this.#pending(await this.#write.held(task), seen);
    const started = await this.#deps.runner.start(
      { task: pending, prompt: promptOf(task, deps), readSecret: (name) => this.#secret(task, name, signal) },
      signal,
    );
    switch (started.kind) {
      case 'refused':
        await this.#finish(pending, failure(`Task failed: ${started.message}`));
        return undefined;
      case 'waiting': {
        const againAfterMs = started.soon === true ? trySoonMs : tryAgainMs;
        this.#deps.locks.release(seen);
        this.#putOffs.add(keyText(keyOf(task)), task.metadata.uid, againAfterMs);
        await this.#wait(pending, `Waiting for ${started.message}`);
        this.#deps.wakeBranch(seen);
        return { againAfterMs };
      }
      case 'started':
        this.#deps.runs.track(task, started.run);
        await this.#markUnderWay(pending, started.run.progress);
        return undefined;
    }
  }

  /**
   * A run that goes with its Task is found again wherever it was begun, and its Task is Pending with it: to write that
   * before is worth a write only where the branch must not go to another should the engine die in between.
   */
  async #pending(held: Task, { branchKey }: ActiveTask): Promise<Task> {
    const isSaidLater = this.#deps.runner.goesWithTask && branchKey === undefined;
    return isSaidLater || held.status?.phase === 'Pending' ? held : this.#write.pending(held);
  }

  #blocked(task: Task, seen: ActiveTask): string | undefined {
    const { view, locks } = this.#deps;
    if (seen.branchKey === undefined) return undefined;
    const others = [...view.group(seen.branchKey)].filter((other) => other.kind === 'active');
    return locks.tryHold(seen, task.spec.branch ?? '', others);
  }

  async #wait(task: Task, message: string): Promise<void> {
    if (task.status?.phase !== 'Waiting' || task.status.message !== message)
      await this.#write.waiting(task, message);
  }

  async #markUnderWay(task: Task, progress: RunProgress): Promise<void> {
    const { status } = await this.#write.underWay(task, progress);
    const { events } = this.#deps;
    const { phase, jobName, message } = task.status ?? {};
    if (jobName === undefined && progress.jobName !== undefined)
      events.record(subjectOf(task), 'Normal', 'TaskCreated', `its Job ${progress.jobName} is made`);
    if (progress.heldUp !== undefined && progress.heldUp !== message)
      events.record(subjectOf(task), 'Warning', 'TaskHeldUp', progress.heldUp);
    if (phase !== 'Running' && status?.phase === 'Running')
      events.record(subjectOf(task), 'Normal', 'TaskRunning', 'its program runs');
  }

  async #finish(task: Task, completion: Completion): Promise<void> {
    const { clock, events, runMetrics } = this.#deps;
    const { phase, message, reason, startedAt, finishedAt = clock.now() } = completion;
    const written = await this.#write.finished(task, completion, clock.now());
    const labels = { phase, type: effectiveWorker(task.spec).type ?? '' };
    runMetrics.completed.inc(labels);
    if (startedAt !== undefined) runMetrics.durationSeconds.observe(labels, (finishedAt - startedAt) / 1000);
    events.record(subjectOf(task), phase === 'Succeeded' ? 'Normal' : 'Warning', reason, message);
    this.#sayOutputs(task, completion, written.status?.outputs?.length ?? 0);
  }

  #sayOutputs(task: Task, { outputs, outputsLeftOut }: Completion, kept: number): void {
    const leftOut = outputsLeftOut + outputs.length - kept;
    if (kept === 0 && leftOut === 0) return;
    const more = leftOut === 0 ? '' : `; ${leftOut} left out, being too many or too long`;
    const type = leftOut === 0 ? 'Normal' : 'Warning';
    this.#deps.events.record(subjectOf(task), type, 'OutputsCaptured', `${kept} output lines${more}`);
  }

  async #secret(task: Task, name: string, signal: AbortSignal): Promise<Secret | undefined> {
    const { namespace } = task.metadata;
    try {
      return await this.#deps.store.get('Secret', { namespace, name }, { signal });
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    }
  }

  async #get(key: Key, signal: AbortSignal): Promise<Task | undefined> {
    try {
      return await this.#deps.store.get('Task', key, { signal });
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    }
  }
}

function promptOf({ spec }: Task, deps: JsonObject): string {
  const { prompt = '', dependsOn = [] } = spec;
  return dependsOn.length === 0 ? prompt : promptWith(prompt, deps);
}

/** Wall time may jump, and the queue counts by another clock: looks now and then. */
function laterBy(ms: number): Reconciled {
  return { againAfterMs: Math.min(ms, maxExpiryLookMs) };
}
