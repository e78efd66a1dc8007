import { onCompletionFinalizer, runFinalizer } from '../api/names.ts';
import type { Task } from '../api/task.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import { isStoreError } from '../store/errors.ts';
import { keyOf, type MergePatch, type ResourceStore } from '../store/store.ts';
import type { Completion } from './completion.ts';
import { phaseUnderWay } from './decide-task.ts';
import type { RunProgress } from './runner.ts';

/** Bytes of a message: it stands in status, Events and what hooks are told. */
const maxMessageBytes = 1024;

/**
 * Writes what this room says of Tasks. Every write holds only for the version of the Task that was judged.
 * @throws StoreError `Conflict` when there is a newer one.
 */
export class TaskStatusWriter {
  readonly #store: ResourceStore;

  constructor(store: ResourceStore) {
    this.#store = store;
  }

  waiting(task: Task, message: string): Promise<Task> {
    return this.#status(task, { phase: 'Waiting', message: clampUtf8(message, maxMessageBytes) });
  }

  pending(task: Task): Promise<Task> {
    return this.#status(task, { phase: 'Pending', message: null });
  }

  underWay(task: Task, progress: RunProgress): Promise<Task> {
    const { startedAt, jobName, podName, heldUp } = progress;
    return this.#status(task, {
      phase: phaseUnderWay(task, progress),
      startTime: task.status?.startTime ?? (startedAt === undefined ? undefined : rfc3339(startedAt)),
      jobName,
      podName,
      message: heldUp ?? null,
    });
  }

  /** Phase, times, message, outputs and results in one write: whoever sees the phase sees all of them. */
  async finished(task: Task, completion: Completion, nowMs: number): Promise<Task> {
    const { phase, message, startedAt, finishedAt = nowMs, podName, outputs, results } = completion;
    const began = task.status?.startTime ?? (startedAt === undefined ? null : rfc3339(startedAt));
    const status = {
      phase,
      message: clampUtf8(message, maxMessageBytes),
      startTime: began,
      completionTime: rfc3339(finishedAt),
      podName,
    };
    const captured = {
      outputs: outputs.length === 0 ? null : outputs,
      results: Object.keys(results).length === 0 ? null : results,
    };
    try {
      return await this.#status(task, { ...status, ...captured });
    } catch (thrown) {
      if (!isStoreError(thrown, 'Invalid')) throw thrown;
      // What a program printed must never keep its Task from ending.
      return this.#status(task, { ...status, outputs: null, results: null });
    }
  }

  /** Holds the Task until what is kept of its run is removed. */
  async held(task: Task): Promise<Task> {
    const { finalizers = [] } = task.metadata;
    if (finalizers.includes(runFinalizer)) return task;
    return this.#metadata(task, { finalizers: [...finalizers, runFinalizer] });
  }

  letGo(task: Task): Promise<Task> {
    const others = (task.metadata.finalizers ?? []).filter((finalizer) => finalizer !== runFinalizer);
    return this.#metadata(task, { finalizers: others.length === 0 ? null : others });
  }

  async deleted(task: Task): Promise<void> {
    const { uid, resourceVersion, finalizers = [] } = task.metadata;
    if (finalizers.includes(onCompletionFinalizer)) return;
    await this.#store.delete('Task', keyOf(task), { uid, resourceVersion });
  }

  #status(task: Task, status: Readonly<Record<string, unknown>>): Promise<Task> {
    return this.#patch(task, {}, { status }, { subresource: 'status' });
  }

  #metadata(task: Task, metadata: Readonly<Record<string, unknown>>): Promise<Task> {
    return this.#patch(task, metadata, {});
  }

  #patch(
    task: Task,
    metadata: Readonly<Record<string, unknown>>,
    rest: MergePatch,
    options?: { subresource: 'status' },
  ): Promise<Task> {
    const { resourceVersion } = task.metadata;
    return this.#store.patch(
      'Task',
      keyOf(task),
      { ...rest, metadata: { ...metadata, resourceVersion } },
      options,
    );
  }
}
