import type { TaskSpawner } from '../api/task-spawner.ts';
import type { Clock } from '../base/clock.ts';
import { isStoreError } from '../store/errors.ts';
import { type Key, keyOf, type ResourceStore } from '../store/store.ts';
import type { Reconciled } from '../store/workqueue.ts';
import { limitOf } from './build-task.ts';
import type { Slots } from './slots.ts';
import type { ScheduledSource } from './source.ts';
import type { SpawnedTask } from './spawned-task.ts';
import type { Planned, SpawnerPlan } from './spawner-plan.ts';
import { decideStatus, type Health } from './spawner-status.ts';
import type { Made } from './task-maker.ts';
import type { WorkItem } from './work-item.ts';

/** Ticks made up for in one pass; then others have their turn, and it goes on. */
const ticksPerPass = 1000;
/** The wall clock may jump, or the machine sleep, while a timer waits: look again at least so often. */
const longestWaitMs = 300_000;
/** A clock set back by less than this makes no tick come twice. */
const longestLeadMs = 86_400_000;
/** Tasks let go side by side: enough to share the store's commits. */
const liftBatch = 32;

export interface ControllerDeps {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly slots: Slots;
  readonly planOf: (spawner: TaskSpawner) => Planned;
  readonly make: (
    spawner: TaskSpawner,
    plan: SpawnerPlan,
    item: WorkItem,
    signal: AbortSignal,
  ) => Promise<Made>;
  readonly totalOf: (spawner: TaskSpawner) => number;
  readonly healthOf: (uid: string) => Health;
  readonly onTrouble: (spawner: TaskSpawner, reason: string, message: string) => void;
}

/** How far a schedule is worked, and when it goes on. Undefined for sources without one. */
interface Progress {
  readonly throughMs: number;
  readonly nextMs: number | undefined;
  /** More ticks are due than one pass takes. */
  readonly more: boolean;
}

/**
 * Brings one TaskSpawner to where it should be: makes the Tasks of due ticks, lets waiting Tasks go while
 * there are free slots, and writes the status when it changes.
 *
 * C1. `lastDiscoveryTime` moves only after the Tasks of all ticks up to it are stored.
 * C2. A write of its own is never undone by a view that has not seen it yet.
 */
export class SpawnerController {
  readonly #deps: ControllerDeps;
  /** The last status written for each TaskSpawner, until the view has it (C2). */
  readonly #written = new Map<string, TaskSpawner>();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
  }

  async reconcile(shown: TaskSpawner, signal: AbortSignal): Promise<Reconciled | undefined> {
    if (shown.metadata.deletionTimestamp !== undefined) return undefined;
    const spawner = this.#newest(shown);
    const planned = this.#deps.planOf(spawner);
    if (!planned.ok) this.#deps.onTrouble(spawner, planned.code, planned.message);
    const progress =
      planned.ok && planned.plan.source.kind === 'schedule'
        ? await this.#workSchedule(spawner, planned.plan, planned.plan.source, signal)
        : undefined;
    if (spawner.spec.suspend !== true) await this.#letGo(spawner, signal);
    await this.#writeStatus(spawner, planned, progress);
    return this.#again(progress);
  }

  forget(uid: string): void {
    this.#written.delete(uid);
  }

  /** The spec as shown, with the newest status known. */
  #newest(shown: TaskSpawner): TaskSpawner {
    const { uid, resourceVersion } = shown.metadata;
    const written = this.#written.get(uid);
    if (written === undefined) return shown;
    if (Number(written.metadata.resourceVersion) > Number(resourceVersion))
      return { ...shown, ...(written.status === undefined ? {} : { status: written.status }) };
    this.#written.delete(uid);
    return shown;
  }

  async #workSchedule(
    spawner: TaskSpawner,
    plan: SpawnerPlan,
    source: ScheduledSource,
    signal: AbortSignal,
  ): Promise<Progress> {
    const nowMs = this.#deps.clock.now();
    const sinceMs = workedThrough(spawner, nowMs);
    // Ticks while suspended are not made up for: the time is moved on when it is resumed.
    if (spawner.spec.suspend === true) return { throughMs: sinceMs, nextMs: undefined, more: false };
    const due = source.due(sinceMs, nowMs, ticksPerPass);
    for (const item of due.items) {
      signal.throwIfAborted();
      const made = await this.#deps.make(spawner, plan, item, signal);
      if (made.outcome === 'exhausted') break;
    }
    return {
      throughMs: due.throughMs,
      nextMs: source.next(Math.max(due.throughMs, nowMs)),
      more: due.more,
    };
  }

  async #letGo(spawner: TaskSpawner, signal: AbortSignal): Promise<void> {
    const { slots } = this.#deps;
    const { uid } = spawner.metadata;
    const limit = limitOf(spawner.spec.maxConcurrency);
    for (;;) {
      signal.throwIfAborted();
      const batch: SpawnedTask[] = [];
      while (batch.length < liftBatch) {
        const task = slots.take(uid, limit);
        if (task === undefined) break;
        batch.push(task);
      }
      if (batch.length === 0) return;
      const settled = await Promise.allSettled(batch.map((task) => this.#lift(task)));
      const broken = settled.find((result) => result.status === 'rejected');
      if (broken !== undefined) throw broken.reason;
    }
  }

  async #lift(task: SpawnedTask): Promise<void> {
    const { store, slots } = this.#deps;
    try {
      const key: Key = { namespace: task.namespace, name: task.name };
      const written = await store.patch('Task', key, { spec: { suspend: false } });
      slots.lifted(task, Number(written.metadata.resourceVersion));
    } catch (thrown) {
      // Gone already: its slot comes back when the view shows that too.
      if (isStoreError(thrown, 'NotFound')) return;
      slots.putBack(task);
      throw thrown;
    }
  }

  async #writeStatus(spawner: TaskSpawner, planned: Planned, progress: Progress | undefined): Promise<void> {
    const { store, clock, slots, totalOf, healthOf } = this.#deps;
    const { uid } = spawner.metadata;
    const status = decideStatus({
      spawner,
      planned,
      counts: slots.counts(uid),
      totalTasksCreated: totalOf(spawner),
      health: healthOf(uid),
      throughMs: progress?.throughMs,
      nextMs: progress?.nextMs,
      nowMs: clock.now(),
    });
    if (status === undefined) return;
    try {
      const written = await store.patch('TaskSpawner', keyOf(spawner), { status }, { subresource: 'status' });
      if (written.metadata.uid === uid) this.#written.set(uid, written);
    } catch (thrown) {
      if (!isStoreError(thrown, 'NotFound')) throw thrown;
    }
  }

  #again(progress: Progress | undefined): Reconciled | undefined {
    if (progress === undefined) return undefined;
    if (progress.more) return { againAfterMs: 0 };
    if (progress.nextMs === undefined) return undefined;
    return { againAfterMs: Math.min(progress.nextMs - this.#deps.clock.now(), longestWaitMs) };
  }
}

/**
 * The time up to which the ticks of a schedule are done with. A TaskSpawner that has just been resumed, or that
 * was something else before, begins now; one never seen before begins with its creation.
 */
function workedThrough(spawner: TaskSpawner, nowMs: number): number {
  const { status, spec, metadata } = spawner;
  const nowSecond = Math.floor(nowMs / 1000) * 1000;
  const since = Date.parse(status?.lastDiscoveryTime ?? '');
  if (status?.phase === 'Suspended' && spec.suspend !== true)
    return Number.isNaN(since) ? nowSecond : Math.max(nowSecond, since);
  // Only a clock that was wrong can have got so far ahead; waiting for that time would be waiting for ever.
  if (!Number.isNaN(since)) return since - nowMs > longestLeadMs ? nowSecond : since;
  return status?.observedGeneration === undefined ? Date.parse(metadata.creationTimestamp) : nowSecond;
}
