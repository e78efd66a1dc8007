import type { Task } from '../api/task.ts';
import { isStoreError } from '../store/errors.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyText } from '../store/store.ts';
import { decideRecording } from './decide-recording.ts';
import type { Run } from './run-id.ts';
import { unrecordedTask } from './unrecorded-task.ts';

/** For how long it is tried to record the end of a Task that is gone. */
const longestMs = 3_600_000;

/** A Task that is gone, as it was last, and when that was seen, monotonic. */
interface Departed {
  readonly task: Task;
  readonly since: number;
}

/**
 * Tasks that were deleted with an end that is not recorded. A finalizer does not rule that out: an API server deletes
 * what it lets go of without asking again for its version, and takes along what was acknowledged a moment before.
 */
export class DepartedTasks {
  readonly #deps: Pick<RoomDeps, 'clock' | 'log'>;
  readonly #create: (task: Task, run: Run) => Promise<void>;
  readonly #tasks = new Map<string, Departed>();

  /** `create` makes the Deliveries of a run. */
  constructor(deps: Pick<RoomDeps, 'clock' | 'log'>, create: (task: Task, run: Run) => Promise<void>) {
    this.#deps = deps;
    this.#create = create;
  }

  /** Keeps a Task that was deleted, as it was last, until `record` has seen to it. */
  take(task: Task): void {
    const since = this.#deps.clock.monotonic();
    this.#tasks.set(keyText(task.metadata), { task: unrecordedTask(task), since });
  }

  /** Records what is left to record of a Task of this key that is gone. @throws StoreError when it cannot be for now */
  async record(text: string): Promise<void> {
    const departed = this.#tasks.get(text);
    if (departed === undefined) return;
    const { task, since } = departed;
    const step = decideRecording(task);
    try {
      if (step.do === 'record') {
        await this.#create(task, step.run);
        this.#deps.log.info('a Task was deleted in the moment it ended, and is told all the same', {
          task: text,
        });
      }
    } catch (error) {
      const isOver = this.#deps.clock.monotonic() - since > longestMs;
      // A namespace that goes takes no Deliveries.
      if (!isStoreError(error, 'NotFound') && !isOver) throw error;
      this.#deps.log.warn('a Task was deleted in the moment it ended: its hooks are told nothing', {
        task: text,
      });
    }
    // Another one of its name may be gone as well by now.
    if (this.#tasks.get(text) === departed) this.#tasks.delete(text);
  }
}
