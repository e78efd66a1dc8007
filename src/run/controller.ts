import { runFinalizer } from '../api/names.ts';
import { secretValue } from '../api/secret.ts';
import { type Task, type TaskStatus, terminalPhase } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';
import { rfc3339 } from '../base/text.ts';
import { isStoreError } from '../store/errors.ts';
import { subjectOf } from '../store/event-recorder.ts';
import type { View, ViewChange } from '../store/informer.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyText, parseKeyText } from '../store/store.ts';
import { type Reconciled, Workqueue } from '../store/workqueue.ts';
import { decideTask, type TaskStep, type TaskWorld } from './decide-task.ts';
import { readDependencies, renderPrompt } from './dependencies.ts';
import { createRunMetrics, type RunMetrics } from './metrics.ts';
import { outcomeStatus } from './outcome-status.ts';
import type { Runner, RunOutcome } from './runner.ts';
import { cardOf, type TaskCard } from './task-card.ts';

/** Tasks looked at side by side; none of these waits for a run. */
const concurrency = 32;
/** What waits for something that the view does not show (a Secret, a Task made finished) is looked at so often. */
const lookAgainMs = 10_000;

/**
 * Brings Tasks from their making to their end.
 *
 * T1. Our finalizer stands before a run begins, and goes only after its end is written and it is forgotten.
 * T2. Phase, outputs and results are written in one.
 * T3. Following a run holds no place in the queue: its end puts the Task there again.
 */
export class TaskController {
  readonly #deps: RoomDeps;
  readonly #runner: Runner;
  readonly #view: View<TaskCard>;
  readonly #queue: Workqueue;
  readonly #metrics: RunMetrics;
  /** Runs that are followed, by uid. */
  readonly #followed = new Set<string>();
  /** Runs that have ended, until that is written. */
  readonly #ended = new Map<string, RunOutcome>();
  /** Who waits for whom: the key of a Task → the keys of those that depend on it. */
  readonly #dependents = new Map<string, Set<string>>();
  #signal: AbortSignal = AbortSignal.abort();

  constructor(deps: RoomDeps, runner: Runner) {
    this.#deps = deps;
    this.#runner = runner;
    this.#view = deps.informers.of('Task').view({
      select: cardOf,
      groupBy: (card) => card.branchKey,
      onChange: (change) => this.#onChange(change),
    });
    this.#queue = new Workqueue({
      reconcile: (key) => this.#reconcile(key),
      clock: deps.clock,
      concurrency,
      onError: (task, error, backoffMs) =>
        deps.log.warn('a Task will be tried again', {
          task,
          error: error.message,
          backoffMs: Math.round(backoffMs),
        }),
    });
    this.#metrics = createRunMetrics(deps.metrics, {
      running: () => this.#followed.size,
      depth: () => this.#queue.depth,
    });
  }

  /** Works until the signal aborts. Runs go on without it. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await this.#queue.run(signal);
  }

  #onChange({ key, before, now }: ViewChange<TaskCard>): void {
    const text = keyText(key);
    this.#trackDependencies(text, before, now);
    if (now !== undefined) this.#queue.add(text);
    const wasOpen = before !== undefined && !before.isTerminal;
    const isOpen = now !== undefined && !now.isTerminal;
    if (wasOpen === isOpen) return;
    // A Task that comes or ends may be what others wait for.
    for (const dependent of this.#dependents.get(text) ?? []) this.#queue.add(dependent);
    if (before?.branchKey !== undefined) {
      for (const card of this.#view.group(before.branchKey)) this.#queue.add(keyText(card.key));
    }
  }

  #trackDependencies(text: string, before: TaskCard | undefined, now: TaskCard | undefined): void {
    for (const name of before?.dependsOn ?? []) {
      const other = keyText({ namespace: before?.key.namespace ?? '', name });
      const dependents = this.#dependents.get(other);
      dependents?.delete(text);
      if (dependents?.size === 0) this.#dependents.delete(other);
    }
    for (const name of now?.dependsOn ?? []) {
      const other = keyText({ namespace: now?.key.namespace ?? '', name });
      const dependents = this.#dependents.get(other);
      if (dependents === undefined) this.#dependents.set(other, new Set([text]));
      else dependents.add(text);
    }
  }

  async #reconcile(text: string): Promise<Reconciled | undefined> {
    const card = this.#view.get(parseKeyText(text));
    if (card === undefined) return undefined;
    const outcome = this.#ended.get(card.uid);
    if (outcome !== undefined && !card.isTerminal) return this.#conclude(card, outcome);
    return this.#take(card, decideTask(card, await this.#worldOf(card)));
  }

  async #worldOf(card: TaskCard): Promise<TaskWorld> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    const idle = { hasRun: false, dependencies: [], branchBefore: undefined, now };
    if (card.isTerminal) return idle;
    if (await this.#runner.has(card.uid)) return { ...idle, hasRun: true };
    if (card.isDeleting || card.suspend || card.phase === 'Running') return idle;
    return {
      ...idle,
      dependencies: await readDependencies(store, card),
      branchBefore: this.#branchBefore(card),
    };
  }

  /** Whoever holds the branch, else whoever waits for it since longest, if that is not this Task. */
  #branchBefore(card: TaskCard): TaskWorld['branchBefore'] {
    if (card.branchKey === undefined) return undefined;
    let first: TaskCard | undefined;
    for (const other of this.#view.group(card.branchKey)) {
      if (other.uid === card.uid) continue;
      if (other.isHeld || this.#followed.has(other.uid)) return { name: other.key.name, holds: true };
      const waits = !other.suspend && !other.isDeleting && other.age < card.age;
      if (waits && (first === undefined || other.age < first.age)) first = other;
    }
    return first === undefined ? undefined : { name: first.key.name, holds: false };
  }

  async #take(card: TaskCard, step: TaskStep): Promise<Reconciled | undefined> {
    switch (step.do) {
      case 'nothing':
        return undefined;
      case 'wait':
        await this.#wait(card, step.message);
        return card.suspend ? undefined : { againAfterMs: lookAgainMs };
      case 'fail':
        await this.#fail(card, step.reason, step.message);
        return undefined;
      case 'start':
        return this.#start(card);
      case 'follow':
        await this.#follow(card, step.stop);
        return undefined;
      case 'release':
        await this.#release(card);
        return undefined;
      case 'remove':
        await this.#remove(card);
        return undefined;
      case 'removeLater':
        return { againAfterMs: step.afterMs };
    }
  }

  async #wait(card: TaskCard, message: string): Promise<void> {
    if (card.phase === 'Waiting' && card.message === message) return;
    await this.#patchStatus(card, { phase: 'Waiting', message });
  }

  async #fail(card: TaskCard, reason: string, message: string): Promise<void> {
    const completionTime = rfc3339(this.#deps.clock.now());
    const task = await this.#patchStatus(card, { phase: 'Failed', completionTime, message });
    if (task !== undefined) this.#told(task, 'Warning', reason);
  }

  async #start(card: TaskCard): Promise<Reconciled | undefined> {
    const { store } = this.#deps;
    const task = await this.#read(card);
    // The view may lag behind: what the store says now counts.
    const now = task === undefined ? undefined : cardOf(task);
    if (task === undefined || now === undefined || now.isTerminal || now.isDeleting || now.suspend)
      return undefined;
    const prompt = await renderPrompt(store, task);
    if (!(await this.#hold(task))) return undefined;
    const started = await this.#runner.start(task, {
      prompt,
      readSecret: (name, key) => this.#readSecret(card.key.namespace, name, key),
    });
    if (started.kind === 'refused') {
      await this.#fail(card, 'TaskFailed', `Task failed: ${started.message}`);
      return undefined;
    }
    if (started.kind === 'waiting') {
      await this.#wait(card, started.message);
      return { againAfterMs: lookAgainMs };
    }
    await this.#follow(card, false);
    return undefined;
  }

  /** Puts our finalizer on (T1). False when the Task went away or is going meanwhile. */
  async #hold(task: Task): Promise<boolean> {
    const { finalizers = [], namespace, name, resourceVersion } = task.metadata;
    if (finalizers.includes(runFinalizer)) return true;
    try {
      const metadata = { resourceVersion, finalizers: [...finalizers, runFinalizer] };
      await this.#deps.store.patch('Task', { namespace, name }, { metadata });
      return true;
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return false;
      throw error;
    }
  }

  /** Sees to it that the end of a run is heard (T3), and that the Task says that it runs. */
  async #follow(card: TaskCard, stop: boolean): Promise<void> {
    if (!this.#followed.has(card.uid)) {
      this.#followed.add(card.uid);
      void this.#hear(card);
      if (card.phase !== 'Running') {
        const startTime = rfc3339(this.#deps.clock.now());
        const task = await this.#patchStatus(card, { phase: 'Running', startTime, message: '' });
        if (task !== undefined) this.#told(task, 'Normal', 'TaskRunning');
      }
    }
    if (stop) await this.#runner.cancel(card.uid);
  }

  async #hear(card: TaskCard): Promise<void> {
    try {
      this.#ended.set(card.uid, await this.#runner.outcome(card.uid, this.#signal));
    } catch (thrown) {
      if (!this.#signal.aborted) {
        this.#deps.log.error('a run cannot be followed', { task: keyText(card.key), error: String(thrown) });
        this.#queue.addAfter(keyText(card.key), lookAgainMs);
      }
    } finally {
      this.#followed.delete(card.uid);
    }
    if (this.#ended.has(card.uid)) this.#queue.add(keyText(card.key));
  }

  /** Writes how a run ended (T2). */
  async #conclude(card: TaskCard, outcome: RunOutcome): Promise<undefined> {
    const task = await this.#patchStatus(card, outcomeStatus(outcome, card.isDeleting));
    this.#ended.delete(card.uid);
    if (task === undefined) return;
    const { phase = '', startTime } = task.status ?? {};
    const seconds = startTime === undefined ? undefined : (outcome.finishedAt - Date.parse(startTime)) / 1000;
    const type = effectiveWorker(task.spec).type || 'unknown';
    this.#metrics.completed({ phase, type }, seconds === undefined ? undefined : Math.max(0, seconds));
    this.#told(
      task,
      phase === 'Succeeded' ? 'Normal' : 'Warning',
      phase === 'Succeeded' ? 'TaskSucceeded' : 'TaskFailed',
    );
  }

  /** Takes our finalizer off; what is kept of the run goes with a Task that goes. */
  async #release(card: TaskCard): Promise<void> {
    if (card.isDeleting) await this.#runner.forget(card.uid);
    const task = await this.#read(card);
    if (task === undefined) return;
    const { finalizers = [], resourceVersion } = task.metadata;
    const others = finalizers.filter((finalizer) => finalizer !== runFinalizer);
    const metadata = { resourceVersion, finalizers: others.length === 0 ? null : others };
    await this.#deps.store.patch('Task', card.key, { metadata }).catch(ignoreNotFound);
  }

  async #remove(card: TaskCard): Promise<void> {
    await this.#deps.store.delete('Task', card.key, { uid: card.uid }).catch((error: unknown) => {
      if (!isStoreError(error, 'Conflict')) ignoreNotFound(error);
    });
    await this.#runner.forget(card.uid);
  }

  /** Writes the status of this very Task, unless it has ended or gone meanwhile: a finished Task stays so. */
  async #patchStatus(card: TaskCard, status: TaskStatus): Promise<Task | undefined> {
    const task = await this.#read(card);
    if (task === undefined || terminalPhase(task) !== undefined) return undefined;
    const { resourceVersion } = task.metadata;
    try {
      return await this.#deps.store.patch(
        'Task',
        card.key,
        { metadata: { resourceVersion }, status },
        { subresource: 'status' },
      );
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #read({ key, uid }: TaskCard): Promise<Task | undefined> {
    try {
      const task = await this.#deps.store.get('Task', key);
      return task.metadata.uid === uid ? task : undefined;
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #readSecret(namespace: string, name: string, key: string): Promise<string | undefined> {
    try {
      return secretValue(await this.#deps.store.get('Secret', { namespace, name }), key);
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  #told(task: Task, type: 'Normal' | 'Warning', reason: string): void {
    const message = task.status?.message || 'Task started running';
    this.#deps.events.record(subjectOf(task), type, reason, message);
    const { namespace, name } = task.metadata;
    this.#deps.log.info('task', { task: keyText({ namespace, name }), phase: task.status?.phase, message });
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isStoreError(error, 'NotFound')) throw error;
}
