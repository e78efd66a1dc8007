import type { Draft, Resource } from '../api/kinds.ts';
import { taskSpawnerLabel } from '../api/names.ts';
import type { TaskSpawner } from '../api/task-spawner.ts';
import { isStoreError, StoreError } from '../store/errors.ts';
import type { ResourceStore } from '../store/store.ts';
import { buildTask, limitOf } from './build-task.ts';
import { KeyedLock } from './keyed-lock.ts';
import { spawnerOf } from './spawned-task.ts';
import type { TaskNumbers } from './task-numbers.ts';
import type { TaskTemplates } from './task-templates.ts';
import type { WorkItem } from './work-item.ts';

/** What became of a work item. Only `created` used up a number. */
export type Made =
  | { readonly outcome: 'created' | 'duplicate'; readonly task: string }
  /** `maxTotalTasks` is reached. */
  | { readonly outcome: 'exhausted'; readonly reason: string }
  /** The same item would fail again: the template, or the Task that it gives, is wrong. */
  | { readonly outcome: 'failed'; readonly reason: string };

/**
 * Stores the Tasks of work items and numbers them.
 *
 * M1. The n-th Task of a TaskSpawner carries number n: one at a time, and only a stored Task counts.
 * M2. The same item twice is one Task: its name decides.
 */
export class TaskMaker {
  readonly #store: ResourceStore;
  readonly #numbers: TaskNumbers;
  readonly #lock = new KeyedLock();

  constructor(store: ResourceStore, numbers: TaskNumbers) {
    this.#store = store;
    this.#numbers = numbers;
  }

  /**
   * Resolves when the Task is stored, or when there will be none.
   * @throws StoreError when the store cannot tell now: the same call may be made again later.
   */
  make(spawner: TaskSpawner, templates: TaskTemplates, item: WorkItem, signal: AbortSignal): Promise<Made> {
    return this.#lock.run(spawner.metadata.uid, () => {
      signal.throwIfAborted();
      return this.#make(spawner, templates, item);
    });
  }

  async #make(spawner: TaskSpawner, templates: TaskTemplates, item: WorkItem): Promise<Made> {
    const number = this.#numbers.last(spawner) + 1;
    const limit = limitOf(spawner.spec.maxTotalTasks);
    const built = buildTask({ spawner, templates, item, number });
    if (limit !== undefined && number > limit) {
      const task = built.ok ? await this.#find(spawner, built.draft) : undefined;
      if (task !== undefined && isOf(task, spawner))
        return { outcome: 'duplicate', task: task.metadata.name };
      return { outcome: 'exhausted', reason: `spec.maxTotalTasks: all ${limit} Tasks have been made` };
    }
    if (!built.ok) return { outcome: 'failed', reason: built.reason };
    return this.#create(spawner, built.draft, number);
  }

  async #create(spawner: TaskSpawner, draft: Draft<'Task'>, number: number): Promise<Made> {
    try {
      const task = await this.#store.create<'Task'>(draft);
      this.#numbers.see(spawner.metadata.uid, number);
      return { outcome: 'created', task: task.metadata.name };
    } catch (thrown) {
      if (isStoreError(thrown, 'Invalid')) return { outcome: 'failed', reason: invalidReason(thrown) };
      if (!isStoreError(thrown, 'AlreadyExists')) throw thrown;
      return this.#taken(spawner, draft);
    }
  }

  async #taken(spawner: TaskSpawner, draft: Draft<'Task'>): Promise<Made> {
    const task = await this.#find(spawner, draft);
    if (task === undefined)
      throw new StoreError('Conflict', `Task ${draft.metadata.name} went away meanwhile: try again`);
    const { name } = task.metadata;
    if (isOf(task, spawner)) return { outcome: 'duplicate', task: name };
    return {
      outcome: 'failed',
      reason: `Task ${name} exists and is not of this TaskSpawner; delete it or choose another name`,
    };
  }

  async #find(spawner: TaskSpawner, draft: Draft<'Task'>): Promise<Resource<'Task'> | undefined> {
    const { namespace } = spawner.metadata;
    try {
      return await this.#store.get('Task', { namespace, name: draft.metadata.name ?? '' });
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    }
  }
}

/** Whether the Task is this TaskSpawner's: by its controller, or, where it has none, by its label. */
function isOf(task: Resource<'Task'>, spawner: TaskSpawner): boolean {
  const owner = spawnerOf(task);
  if (owner !== undefined) return owner.uid === spawner.metadata.uid;
  const controlled = task.metadata.ownerReferences?.some(({ controller }) => controller === true) ?? false;
  return !controlled && task.metadata.labels?.[taskSpawnerLabel] === spawner.metadata.name;
}

function invalidReason(error: StoreError): string {
  const faults = error.faults.map(({ path, message }) => `${path}: ${message}`).join('; ');
  return `the Task would be invalid: ${faults === '' ? error.message : faults}`;
}
