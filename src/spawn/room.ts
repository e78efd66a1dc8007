import type { TaskSpawner } from '../api/task-spawner.ts';
import { toError } from '../base/errors.ts';
import { retryLogLevel } from '../store/errors.ts';
import type { Room, RoomDeps } from '../store/room.ts';
import { type Key, keyText, parseKeyText } from '../store/store.ts';
import type { View, ViewChange } from '../store/view.ts';
import { Workqueue } from '../store/workqueue.ts';
import { SpawnerController } from './controller.ts';
import { HealthBook } from './health-book.ts';
import { type InboundEvent, type IngestAnswer, type IngestDeps, ingestEvent } from './ingest.ts';
import { createSpawnMetrics, type SpawnMetrics } from './metrics.ts';
import { Slots } from './slots.ts';
import { type SpawnedTask, spawnedTask, spawnerOf, taskNumberOf } from './spawned-task.ts';
import { PlanCache, type SpawnerPlan } from './spawner-plan.ts';
import { type Made, TaskMaker } from './task-maker.ts';
import { TaskNumbers } from './task-numbers.ts';
import type { WorkItem } from './work-item.ts';

/** TaskSpawners looked at side by side. */
const concurrency = 8;

export interface SpawnRoom extends Room {
  /** Takes one event in. When it answers 202 the Task is stored. Waits for the caches to be filled. */
  ingest(event: InboundEvent, signal: AbortSignal): Promise<IngestAnswer>;
}

/** Events become Tasks. */
export function createSpawnRoom(deps: RoomDeps): SpawnRoom {
  return new Spawning(deps);
}

class Spawning implements SpawnRoom {
  readonly #deps: RoomDeps;
  readonly #plans = new PlanCache();
  readonly #numbers = new TaskNumbers();
  readonly #slots = new Slots();
  readonly #health: HealthBook;
  readonly #maker: TaskMaker;
  readonly #metrics: SpawnMetrics;
  readonly #queue: Workqueue;
  readonly #spawners: View<TaskSpawner>;
  readonly #controller: SpawnerController;
  readonly #ingest: IngestDeps;

  constructor(deps: RoomDeps) {
    const { store, clock } = deps;
    this.#deps = deps;
    this.#health = new HealthBook(deps.events, clock);
    this.#maker = new TaskMaker(store, this.#numbers);
    this.#queue = new Workqueue({
      reconcile: async (key, signal) => {
        const spawner = this.#spawners.get(parseKeyText(key));
        return spawner === undefined ? undefined : this.#controller.reconcile(spawner, signal);
      },
      clock,
      concurrency,
      onError: (key, error, backoffMs) =>
        deps.log[retryLogLevel(error)]('a TaskSpawner will be tried again', {
          taskspawner: key,
          error: error.message,
          backoffMs: Math.round(backoffMs),
        }),
    });
    this.#metrics = createSpawnMetrics(deps.metrics, () => this.#queue.depth);
    this.#spawners = deps.informers.of('TaskSpawner').view<TaskSpawner>({
      select: (spawner) => spawner,
      groupBy: (spawner) => spawner.spec.when.webhook?.source,
      onChange: (change) => this.#spawnerChanged(change),
    });
    deps.informers.of('Task').view<SpawnedTask>({
      select: (task) => {
        // Tasks that have ended are not kept, but their numbers count.
        const number = taskNumberOf(task);
        const spawner = spawnerOf(task);
        if (number !== undefined && spawner !== undefined) this.#numbers.see(spawner.uid, number);
        return spawnedTask(task);
      },
      onChange: (change) => this.#taskChanged(change),
    });
    const shared = { store, clock, planOf: (spawner: TaskSpawner) => this.#plans.of(spawner) };
    this.#controller = new SpawnerController({
      ...shared,
      slots: this.#slots,
      make: async (spawner, plan, item, signal) => {
        const made = await this.#make(spawner, plan, item, signal);
        this.#metrics.event('cron', made.outcome);
        return made;
      },
      totalOf: (spawner) => this.#numbers.last(spawner),
      healthOf: (uid) => this.#health.of(uid),
      onTrouble: (spawner, reason, message) => this.#trouble(spawner, reason, message),
    });
    this.#ingest = {
      ...shared,
      log: deps.log,
      listeners: (source) => this.#spawners.group(source),
      make: (spawner, plan, item, signal) => this.#make(spawner, plan, item, signal),
      onTrouble: (spawner, reason, message) => this.#trouble(spawner, reason, message),
      onOutcome: (source, outcome) => this.#metrics.event(source, outcome),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#synced(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      throw toError(thrown);
    }
    await this.#queue.run(signal);
  }

  async ingest(event: InboundEvent, signal: AbortSignal): Promise<IngestAnswer> {
    await this.#synced(signal);
    return ingestEvent(this.#ingest, event, signal);
  }

  async #synced(signal: AbortSignal): Promise<void> {
    const { informers } = this.#deps;
    for (const informer of [informers.of('TaskSpawner'), informers.of('Task')])
      if (!informer.isSynced) await informer.synced(signal);
  }

  async #make(spawner: TaskSpawner, plan: SpawnerPlan, item: WorkItem, signal: AbortSignal): Promise<Made> {
    const { namespace, name } = spawner.metadata;
    const made = await this.#maker.make(spawner, plan.templates, item, signal);
    if (made.outcome === 'failed') this.#trouble(spawner, 'TaskCreationFailed', made.reason);
    if (made.outcome === 'created') {
      this.#metrics.taskCreated(namespace, name);
      this.#health.well(spawner);
      this.#queue.add(keyText({ namespace, name }));
    }
    return made;
  }

  #trouble(spawner: TaskSpawner, reason: string, message: string): void {
    if (this.#health.trouble(spawner, reason, message)) this.#queue.add(keyText(spawner.metadata));
  }

  #spawnerChanged({ key, before, now }: ViewChange<TaskSpawner>): void {
    if (before !== undefined && before.metadata.uid !== now?.metadata.uid) this.#forget(before.metadata.uid);
    if (before !== undefined && now?.metadata.generation !== before.metadata.generation)
      this.#health.forget(before.metadata.uid);
    if (now !== undefined) this.#queue.add(keyText(key));
  }

  #taskChanged({ key, before, now }: ViewChange<SpawnedTask>): void {
    this.#slots.change(before, now);
    if (before?.state === 'active' && now?.state === 'active') return;
    const spawner = now?.spawner ?? before?.spawner;
    if (spawner !== undefined) this.#queue.add(spawnerKey(key, spawner.name));
  }

  #forget(uid: string): void {
    this.#plans.forget(uid);
    this.#numbers.forget(uid);
    this.#health.forget(uid);
    this.#controller.forget(uid);
  }
}

function spawnerKey(task: Key, name: string): string {
  return keyText({ namespace: task.namespace, name });
}
