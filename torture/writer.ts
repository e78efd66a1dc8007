import { setTimeout as delay } from 'node:timers/promises';
import type { Hook, TerminalPhase } from '../src/api/hook.ts';
import type { Draft } from '../src/api/kinds.ts';
import { onCompletionAnnotation, onCompletionFinalizer, reportedPhaseAnnotation } from '../src/api/names.ts';
import type { Clock } from '../src/base/clock.ts';
import { rfc3339 } from '../src/base/text.ts';
import { isStoreError } from '../src/store/errors.ts';
import type { Key, ResourceStore } from '../src/store/store.ts';
import type { PlannedTask } from './plan.ts';

/** A Task's end that the store has acknowledged. */
export interface WrittenRun {
  readonly phase: TerminalPhase;
  readonly completionTime: string;
  /** Whether it must be told of. It need not when it ran again before anybody was seen to record it. */
  readonly certain: boolean;
}

/** What was written of a Task. */
export interface WrittenTask {
  readonly name: string;
  readonly uid: string;
  readonly hooks: readonly Hook[];
  readonly runs: readonly WrittenRun[];
  readonly deleted: boolean;
}

const pollMs = 100;
/** How long a Task that has failed waits to be told of before it runs again anyway. Real. */
const patienceMs = 20_000;

/** Lets Tasks live their stories, as spawn, run and people would write them. */
export class Writer {
  readonly #store: ResourceStore;
  readonly #clock: Clock;
  readonly #hook: (role: string) => Hook;
  readonly #onEnd: () => void;

  /** `onEnd` is called with every end of a Task that the store has acknowledged. */
  constructor(store: ResourceStore, clock: Clock, hook: (role: string) => Hook, onEnd: () => void) {
    this.#store = store;
    this.#clock = clock;
    this.#hook = hook;
    this.#onEnd = onEnd;
  }

  async live(plan: PlannedTask): Promise<WrittenTask> {
    const { namespace, name, story, phase, pausesMs } = plan;
    const key: Key = { namespace, name };
    const hooks = plan.hooks.map(this.#hook);
    const { metadata } = await this.#store.create(taskDraft(key, hooks, story !== 'ends unheld'));
    const written = (runs: readonly WrittenRun[], deleted: boolean): WrittenTask => ({
      name,
      uid: metadata.uid,
      hooks,
      runs,
      deleted,
    });
    await delay(pausesMs[0]);
    switch (story) {
      case 'ends':
      case 'ends unheld':
        return written([await this.#end(key, phase)], false);
      case 'deleted after its end': {
        const run = await this.#end(key, phase);
        await this.#delete(key);
        return written([run], true);
      }
      case 'deleted before its end': {
        await this.#delete(key);
        await delay(pausesMs[1]);
        const run = await this.#endUnlessGone(key, phase);
        return written(run === undefined ? [] : [run], true);
      }
      case 'deleted unfinished':
        await this.#delete(key);
        return written([], true);
      case 'again':
      case 'again at once': {
        const failed = await this.#end(key, 'Failed');
        const certain = story === 'again' && (await this.#isTold(key));
        await this.#setStatus(key, { phase: 'Pending', startTime: null, completionTime: null });
        await delay(pausesMs[1]);
        const startTime = rfc3339(this.#clock.now());
        await this.#setStatus(key, { phase: 'Running', startTime });
        await delay(pausesMs[2]);
        return written(
          [{ ...failed, certain }, await this.#end(key, phase, Date.parse(failed.completionTime))],
          false,
        );
      }
    }
  }

  /** Ends a Task, at least a second after `afterMs` (epoch milliseconds): times are whole seconds. */
  async #end({ namespace, name }: Key, phase: TerminalPhase, afterMs = 0): Promise<WrittenRun> {
    const completionTime = rfc3339(Math.max(this.#clock.now(), afterMs + 1000));
    const status = {
      phase,
      completionTime,
      message: phase === 'Failed' ? 'Task failed: it was tortured' : 'Task completed successfully',
      outputs: [`task: ${name}`],
      results: { task: name, response: 'r'.repeat(300) },
    };
    await this.#setStatus({ namespace, name }, status);
    this.#onEnd();
    return { phase, completionTime, certain: true };
  }

  async #endUnlessGone(key: Key, phase: TerminalPhase): Promise<WrittenRun | undefined> {
    try {
      return await this.#end(key, phase);
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #setStatus(key: Key, status: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#store.patch('Task', key, { status }, { subresource: 'status' });
  }

  async #delete(key: Key): Promise<void> {
    await this.#store.delete('Task', key);
  }

  /** Whether a Task that failed was marked, in the time that one may wait for it. */
  async #isTold(key: Key): Promise<boolean> {
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += pollMs) {
      const { metadata } = await this.#store.get('Task', key);
      if (metadata.annotations?.[reportedPhaseAnnotation] === 'Failed') return true;
      await delay(pollMs);
    }
    return false;
  }
}

function taskDraft({ namespace, name }: Key, hooks: readonly Hook[], held: boolean): Draft<'Task'> {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name,
      namespace,
      annotations: { [onCompletionAnnotation]: JSON.stringify(hooks) },
      ...(held ? { finalizers: [onCompletionFinalizer] } : {}),
    },
    spec: { type: 'command', command: ['true'], prompt: 'be tortured' },
  };
}
