import type { Draft } from '../api/kinds.ts';
import type { Condition } from '../api/meta.ts';
import {
  onCompletionAnnotation,
  onCompletionFinalizer,
  outputsAwaitedAnnotation,
  reportedPhaseAnnotation,
  reportedRunAnnotation,
} from '../api/names.ts';
import { type Task, terminalPhase } from '../api/task.ts';
import { abortable } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import { isRefusedByStore, isStoreError, retryLogLevel } from '../store/errors.ts';
import { subjectOf } from '../store/event-recorder.ts';
import type { Informer } from '../store/informer.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyOf, keyText, type MergePatch, parseKeyText } from '../store/store.ts';
import type { View, ViewChange } from '../store/view.ts';
import { type Reconciled, Workqueue } from '../store/workqueue.ts';
import {
  decideRecording,
  isExpired,
  outputsAwaitedSince,
  outputsWaitMs,
  type ReleaseReason,
} from './decide-recording.ts';
import { draftDeliveries } from './delivery-draft.ts';
import { DepartedTasks } from './departed-tasks.ts';
import type { FirstSight } from './first-sight.ts';
import { saysHeld, withHeld, withoutHeld } from './held-condition.ts';
import { HookFaults } from './hook-faults.ts';
import { parseHooks } from './hooks-annotation.ts';
import type { ReportMetrics } from './metrics.ts';
import { formatRun, isSameRun, type Run } from './run-id.ts';
import { unrecordedTask } from './unrecorded-task.ts';

export interface RecorderSettings {
  /** Completions older than this when first seen are recorded, but told to nobody. Milliseconds. */
  readonly backlogMs: number;
  /** The longest wait for outputs that are written after the phase. Milliseconds. */
  readonly lateOutputsMs: number;
}

/**
 * How many Tasks may be recorded at once: enough to fill a transaction. More of them would push the writes of the
 * dispatcher to the back, and what is recorded far ahead of its turn to be sent has to be read again then.
 */
const concurrency = 64;

/** A delay from which on a failing Task gets an Event and a condition: it is not a hiccup. */
const sayAfterMs = 5_000;

/** What is said of Tasks that are let go although their hooks are told nothing. */
const untold: { readonly [Reason in ReleaseReason]?: string } = {
  CompletionSkipped: 'let go by annotation telos.dev/skip-completion: its hooks are told nothing',
  NeverEnded: 'deleted before it ended: nobody runs it any more, so its hooks are told nothing',
  NamespaceGone: 'deleted with its namespace, which takes no Deliveries: its hooks are told nothing',
};

/**
 * Sees to it that every terminal run of every Task with hooks has its Deliveries.
 *
 * R1. Deliveries are created before the Task is marked and let go, and nothing is sent that is not created.
 * R2. Marker and finalizer change in one patch, on the version that was judged: what happened to the Task
 *     meanwhile is judged anew.
 * R3. A Task is held no longer than until its Deliveries are created; when that fails it is said by an Event, a
 *     condition and a metric.
 * R4. Only Tasks that need something are kept in memory, and of them only what recording reads.
 * R5. A Task that is deleted with an end that is not recorded is recorded from what the watch says it was last.
 */
export class Recorder {
  readonly #deps: RoomDeps;
  readonly #settings: RecorderSettings;
  readonly #metrics: ReportMetrics;
  readonly #firstSight: FirstSight;
  readonly #informer: Informer<Task>;
  readonly #view: View<Task>;
  readonly #queue: Workqueue;
  readonly #hookFaults: HookFaults;
  /** When the terminal phase of a Task in the view was seen, monotonic. */
  readonly #seenAt = new Map<string, number>();
  /** The run, and the hooks, whose Deliveries exist, for Tasks whose patch met a newer version. */
  readonly #created = new Map<string, { readonly run: Run; readonly hooks: string | undefined }>();
  /** When to stop waiting for outputs, monotonic. */
  readonly #outputsDue = new Map<string, number>();
  /** Tasks whose trouble has had its Event. */
  readonly #said = new Set<string>();
  /** Terminal Tasks of the first list that were not yet recorded, nor failed to be. */
  readonly #catchUp = new Set<string>();
  readonly #onCaughtUp: (() => void)[] = [];
  readonly #departed: DepartedTasks;

  constructor(deps: RoomDeps, settings: RecorderSettings, metrics: ReportMetrics, firstSight: FirstSight) {
    this.#deps = deps;
    this.#settings = settings;
    this.#metrics = metrics;
    this.#firstSight = firstSight;
    this.#hookFaults = new HookFaults(deps);
    this.#departed = new DepartedTasks(deps, (task, run) =>
      this.#createDeliveries(keyText(task.metadata), task, run),
    );
    this.#queue = new Workqueue({
      reconcile: (key) => this.#reconcile(key),
      clock: deps.clock,
      concurrency,
      onError: (key, error, backoffMs) => this.#onError(key, error, backoffMs),
    });
    this.#informer = deps.informers.of('Task');
    this.#view = this.#informer.view({
      select: (task) => (decideRecording(task).do === 'nothing' ? undefined : unrecordedTask(task)),
      onDelete: (task) => this.#onDelete(task),
      onChange: (change) => this.#onChange(change),
    });
  }

  /** Tasks that wait for their turn. */
  get depth(): number {
    return this.#queue.depth;
  }

  /** Tasks that need something. */
  get unrecorded(): number {
    return this.#view.size;
  }

  /** Seconds since the terminal phase was seen that has waited longest to be recorded; 0 when none waits. */
  get oldestUnrecordedSeconds(): number {
    // Kept in the order in which they were seen.
    for (const seenAt of this.#seenAt.values()) return (this.#deps.clock.monotonic() - seenAt) / 1000;
    return 0;
  }

  /**
   * Whether all that was terminal and unrecorded at the start is recorded, or has failed to be at least once: one
   * Task that can never be recorded must not keep the whole engine from its work.
   */
  get caughtUp(): boolean {
    return this.#informer.isSynced && this.#catchUp.size === 0;
  }

  /** Resolves as soon as `caughtUp`. @throws the signal's reason when it aborts first */
  async untilCaughtUp(signal: AbortSignal): Promise<void> {
    await this.#informer.synced(signal);
    if (this.#catchUp.size > 0)
      await abortable(new Promise<void>((resolve) => this.#onCaughtUp.push(resolve)), signal);
  }

  /** Works until the signal aborts; resolves when what was under way is written. */
  run(signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal);
  }

  #onChange({ text, now }: ViewChange<Task>): void {
    if (now !== undefined && terminalPhase(now) !== undefined) {
      if (!this.#seenAt.has(text)) this.#seenAt.set(text, this.#deps.clock.monotonic());
      if (!this.#informer.isSynced) this.#catchUp.add(text);
    } else {
      this.#seenAt.delete(text);
      this.#created.delete(text);
      this.#outputsDue.delete(text);
      this.#said.delete(text);
      this.#caughtUpWith(text);
    }
    if (now !== undefined) this.#queue.add(text);
  }

  #onDelete(task: Task): void {
    const step = decideRecording(task);
    if (step.do !== 'record') return;
    const text = keyText(task.metadata);
    // As it was before it was marked and let go in one patch, as an API server has it.
    if (this.#isCreated(text, step.run, task.metadata.annotations?.[onCompletionAnnotation])) return;
    this.#departed.take(task);
    this.#queue.add(text);
  }

  /** Whether the Deliveries of a run, for these hooks, were made here just now. */
  #isCreated(text: string, run: Run, hooks: string | undefined): boolean {
    const created = this.#created.get(text);
    return created !== undefined && isSameRun(created.run, run) && created.hooks === hooks;
  }

  #caughtUpWith(text: string): void {
    if (this.#catchUp.delete(text) && this.caughtUp) for (const tell of this.#onCaughtUp.splice(0)) tell();
  }

  async #reconcile(text: string): Promise<Reconciled | undefined> {
    await this.#departed.record(text);
    const task = this.#view.get(parseKeyText(text));
    if (task === undefined) return undefined;
    const step = decideRecording(task);
    switch (step.do) {
      case 'nothing':
        return undefined;
      case 'hold':
        if (await this.#patch(task, hold(task))) this.#hookFaults.say(task);
        return undefined;
      case 'release':
        await this.#release(task, step.reason);
        return undefined;
      case 'record': {
        const waitMs = this.#outputsWaitMs(text, task);
        if (waitMs > 0) {
          if (outputsAwaitedSince(task) !== undefined) return { againAfterMs: waitMs };
          await this.#patch(task, {
            annotations: { [outputsAwaitedAnnotation]: rfc3339(this.#deps.clock.now()) },
          });
          return undefined;
        }
        await this.#record(text, task, step.run);
        return undefined;
      }
    }
  }

  /** What is left of the wait, which no clock that jumps can make longer than once set. */
  #outputsWaitMs(text: string, task: Task): number {
    const { clock } = this.#deps;
    const waitMs = outputsWaitMs(task, clock.now(), this.#settings.lateOutputsMs);
    if (waitMs === 0) return 0;
    const due = this.#outputsDue.get(text) ?? clock.monotonic() + waitMs;
    this.#outputsDue.set(text, due);
    return Math.max(0, due - clock.monotonic());
  }

  async #record(text: string, task: Task, seen: Run): Promise<void> {
    const created = this.#created.get(text);
    // A completionTime that was rewritten between the two steps must not make a second message of the same run.
    const run = created !== undefined && isSameRun(created.run, seen) ? created.run : seen;
    // The hooks may change between the two steps as well, and each has to be recorded.
    const hooks = task.metadata.annotations?.[onCompletionAnnotation];
    if (!this.#isCreated(text, run, hooks)) {
      try {
        await this.#createDeliveries(text, task, run);
      } catch (error) {
        // Nothing can be made in a namespace that goes, and a Task held in it would keep it for ever.
        if (!isStoreError(error, 'NotFound') || task.metadata.deletionTimestamp === undefined) throw error;
        await this.#release(task, 'NamespaceGone');
        return;
      }
      this.#created.set(text, { run, hooks });
    }
    // R1: all Deliveries exist from here on.
    if (saysHeld(task) && (await this.#setConditions(task, withoutHeld(task)))) return;
    await this.#patch(task, {
      annotations: {
        [reportedPhaseAnnotation]: run.phase,
        [reportedRunAnnotation]: formatRun(run),
        ...withoutAwaited(task),
      },
      ...withoutFinalizer(task),
    });
  }

  async #createDeliveries(text: string, task: Task, run: Run): Promise<void> {
    const { clock } = this.#deps;
    const expired = isExpired(task, clock.now(), this.#settings.backlogMs);
    const list = parseHooks(task.metadata.annotations?.[onCompletionAnnotation] ?? '');
    const seenAt = this.#seenAt.get(text);
    const drafts = draftDeliveries(task, run, list, { expired });
    await Promise.all(drafts.map((draft) => this.#create(draft, seenAt)));
  }

  /** Creates it; one that is there already is just as good. */
  async #create(draft: Draft<'Delivery'>, seenAt: number | undefined): Promise<void> {
    const { name = '' } = draft.metadata;
    if (seenAt !== undefined) this.#firstSight.remember(name, seenAt);
    try {
      await this.#deps.store.create<'Delivery'>(draft);
    } catch (error) {
      this.#firstSight.take(name);
      if (isStoreError(error, 'AlreadyExists')) return;
      if (!isStoreError(error, 'Invalid') || 'invalid' in draft.spec.hook) throw error;
      // A hook that no store takes must not hold the Task, nor go unseen.
      const hook = { name: draft.spec.hook.name, invalid: `the hook cannot be recorded: ${error.message}` };
      await this.#create({ ...draft, spec: { ...draft.spec, hook } }, undefined);
    }
  }

  async #release(task: Task, reason: ReleaseReason): Promise<void> {
    if (saysHeld(task) && (await this.#setConditions(task, withoutHeld(task)))) return;
    await this.#patch(task, withoutFinalizer(task));
    const message = untold[reason];
    if (message === undefined) return;
    this.#deps.log.warn('a Task is let go untold', { task: keyText(keyOf(task)), reason });
    this.#deps.events.record(subjectOf(task), 'Warning', reason, message);
  }

  /**
   * Patches metadata of the version that was judged (R2). When there is a newer one it is on its way through the
   * watch, and brings the Task back here; a Task that is gone needs nothing. Whether it was patched.
   */
  async #patch(task: Task, metadata: Readonly<Record<string, unknown>>): Promise<boolean> {
    const patch: MergePatch = {
      metadata: { ...metadata, resourceVersion: task.metadata.resourceVersion },
    };
    try {
      await this.#deps.store.patch('Task', keyOf(task), patch);
      return true;
    } catch (error) {
      if (!isStoreError(error, 'Conflict') && !isStoreError(error, 'NotFound')) throw error;
      return false;
    }
  }

  /**
   * Writes what a Task says of itself; a change that brings it back here, on the next version. Whether it worked:
   * it may be a Task of Kelos, whose status others guard, and saying is less than doing.
   */
  async #setConditions(task: Task, conditions: readonly Condition[]): Promise<boolean> {
    const { resourceVersion } = task.metadata;
    const patch = { metadata: { resourceVersion }, status: { conditions } };
    try {
      const written = await this.#deps.store.patch('Task', keyOf(task), patch, { subresource: 'status' });
      // An API of Kelos that knows no conditions takes the write and changes nothing.
      return written.metadata.resourceVersion !== resourceVersion;
    } catch (thrown) {
      const error = toError(thrown).message;
      this.#deps.log.debug('a condition was not written', { task: keyText(keyOf(task)), error });
      return isStoreError(thrown, 'Conflict');
    }
  }

  #onError(text: string, error: Error, backoffMs: number): void {
    this.#metrics.recorderErrors.inc();
    this.#caughtUpWith(text);
    this.#deps.log[retryLogLevel(error)]('recording a completion is put off', {
      task: text,
      error: toError(error).message,
      delayMs: Math.round(backoffMs),
    });
    const task = this.#view.get(parseKeyText(text));
    if (task !== undefined) this.#sayIfStuck(text, task, error);
    if (task === undefined || backoffMs < sayAfterMs) return;
    const message = `its completion cannot be recorded, so it is held: ${clampUtf8(error.message, 512)}; to let it go untold: kubectl annotate task ${task.metadata.name} -n ${task.metadata.namespace} telos.dev/skip-completion=true (or telos deliveries skip)`;
    if (!saysHeld(task)) void this.#setConditions(task, withHeld(task, message, this.#deps.clock.now()));
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#deps.events.record(subjectOf(task), 'Warning', 'RecordingFailed', message);
  }

  /** A namespace takes the rights along that Telos has only there, and then waits for a Task that nobody lets go. */
  #sayIfStuck(text: string, task: Task, error: Error): void {
    const isStuck = isRefusedByStore(error);
    if (task.metadata.deletionTimestamp === undefined || !isStuck || this.#said.has(text)) return;
    this.#said.add(text);
    this.#deps.log.error('a Task that is being deleted cannot be let go', {
      task: text,
      error: error.message,
      remedy: `give the right back; where its namespace goes, remove ${onCompletionFinalizer} from its finalizers (kubectl edit task ${task.metadata.name} -n ${task.metadata.namespace})`,
    });
  }
}

/** Adds the finalizer, and takes away what was noted of an earlier run. */
function hold(task: Task): Record<string, unknown> {
  const { finalizers = [], annotations = {} } = task.metadata;
  const held = finalizers.includes(onCompletionFinalizer);
  const marked = reportedPhaseAnnotation in annotations || reportedRunAnnotation in annotations;
  const past = {
    ...(marked ? { [reportedPhaseAnnotation]: null, [reportedRunAnnotation]: null } : {}),
    ...withoutAwaited(task),
  };
  return {
    ...(held ? {} : { finalizers: [...finalizers, onCompletionFinalizer] }),
    ...(Object.keys(past).length === 0 ? {} : { annotations: past }),
  };
}

/** Takes away the note since when outputs are awaited; nothing when there is none. */
function withoutAwaited(task: Task): Record<string, null> {
  const noted = task.metadata.annotations?.[outputsAwaitedAnnotation] !== undefined;
  return noted ? { [outputsAwaitedAnnotation]: null } : {};
}

/** The finalizers without ours; nothing when ours is not among them. */
function withoutFinalizer(task: Task): Record<string, unknown> {
  const { finalizers = [] } = task.metadata;
  if (!finalizers.includes(onCompletionFinalizer)) return {};
  const others = finalizers.filter((finalizer) => finalizer !== onCompletionFinalizer);
  return { finalizers: others.length === 0 ? null : others };
}
