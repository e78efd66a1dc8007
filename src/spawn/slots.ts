import { DelayHeap } from '../base/delay-heap.ts';
import type { SpawnedTask } from './spawned-task.ts';

export interface SlotCounts {
  /** Tasks that hold a slot: neither ended nor held back, with those just let go. */
  readonly active: number;
  readonly waiting: number;
}

/**
 * Who runs and who waits, for each TaskSpawner, kept up to date by the changes of a view.
 *
 * S1. A Task let go holds its slot from the moment it is taken: a view that lags never makes room twice.
 * S2. It gives the slot back only when the view shows it ended, gone or held back anew, at least as new as the
 *     write that let it go; or when that write failed.
 * S3. Of those that wait the oldest goes first. Taking one costs O(log n) in those that wait.
 */
export class Slots {
  readonly #bySpawner = new Map<string, SpawnerSlots>();

  /** Takes in one change of the view. */
  change(before: SpawnedTask | undefined, now: SpawnedTask | undefined): void {
    const uid = now?.spawner.uid ?? before?.spawner.uid;
    if (uid === undefined) return;
    if (before !== undefined && before.spawner.uid !== uid) this.change(before, undefined);
    const slots = this.#of(uid);
    const name = now?.name ?? before?.name ?? '';
    if (now === undefined) slots.remove(name);
    else slots.set(now);
    if (slots.isEmpty) this.#bySpawner.delete(uid);
  }

  counts(uid: string): SlotCounts {
    const slots = this.#bySpawner.get(uid);
    return { active: slots?.active ?? 0, waiting: slots?.waiting ?? 0 };
  }

  /** Takes the oldest waiting Task, which from now on holds a slot; undefined when none is free or none waits. */
  take(uid: string, limit: number | undefined): SpawnedTask | undefined {
    const slots = this.#bySpawner.get(uid);
    if (slots === undefined || (limit !== undefined && slots.active >= limit)) return undefined;
    return slots.take();
  }

  /** The Task taken was let go; `version` is that of the write. */
  lifted(task: SpawnedTask, version: number): void {
    this.#bySpawner.get(task.spawner.uid)?.lifted(task.name, version);
  }

  /** The Task taken could not be let go: it waits again, if it is still there. */
  putBack(task: SpawnedTask): void {
    this.#bySpawner.get(task.spawner.uid)?.putBack(task.name);
  }

  #of(uid: string): SpawnerSlots {
    let slots = this.#bySpawner.get(uid);
    if (slots === undefined) {
      slots = new SpawnerSlots();
      this.#bySpawner.set(uid, slots);
    }
    return slots;
  }
}

class SpawnerSlots {
  /** What the view shows, by name. */
  readonly #tasks = new Map<string, SpawnedTask>();
  /** Waiting in the view and taken (S1), with the version that let them go once it is known. */
  readonly #taken = new Map<string, number | undefined>();
  /** May hold names that no longer wait; they are passed over. */
  readonly #queue = new DelayHeap<string>();
  readonly #queued = new Set<string>();
  #shownActive = 0;
  #shownWaiting = 0;

  get isEmpty(): boolean {
    return this.#tasks.size === 0;
  }

  get active(): number {
    return this.#shownActive + this.#taken.size;
  }

  get waiting(): number {
    return this.#shownWaiting - this.#taken.size;
  }

  set(task: SpawnedTask): void {
    this.#count(this.#tasks.get(task.name), -1);
    this.#tasks.set(task.name, task);
    this.#count(task, 1);
    if (task.state !== 'waiting') {
      this.#taken.delete(task.name);
      return;
    }
    if (this.#taken.has(task.name)) this.#heldAnew(task);
    else this.#enqueue(task);
  }

  remove(name: string): void {
    this.#count(this.#tasks.get(name), -1);
    this.#tasks.delete(name);
    this.#taken.delete(name);
  }

  take(): SpawnedTask | undefined {
    for (let name = this.#queue.popDue(Infinity); name !== undefined; name = this.#queue.popDue(Infinity)) {
      this.#queued.delete(name);
      const task = this.#tasks.get(name);
      if (task?.state !== 'waiting' || this.#taken.has(name)) continue;
      this.#taken.set(name, undefined);
      return task;
    }
    return undefined;
  }

  lifted(name: string, version: number): void {
    if (!this.#taken.has(name)) return;
    this.#taken.set(name, version);
    const task = this.#tasks.get(name);
    if (task !== undefined) this.#heldAnew(task);
  }

  putBack(name: string): void {
    this.#taken.delete(name);
    const task = this.#tasks.get(name);
    if (task?.state === 'waiting') this.#enqueue(task);
  }

  /** S2: whoever holds a Task back again after it was let go has it wait again. */
  #heldAnew(task: SpawnedTask): void {
    const version = this.#taken.get(task.name);
    if (version === undefined || task.version <= version) return;
    this.putBack(task.name);
  }

  #enqueue(task: SpawnedTask): void {
    if (this.#queued.has(task.name)) return;
    this.#queued.add(task.name);
    this.#queue.push(task.order, task.name);
  }

  #count(task: SpawnedTask | undefined, by: 1 | -1): void {
    if (task?.state === 'active') this.#shownActive += by;
    else if (task?.state === 'waiting') this.#shownWaiting += by;
  }
}
