import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import {
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  skipCompletionAnnotation,
} from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import { heldCondition } from '../../src/report/held-condition.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore, WriteOptions } from '../../src/store/store.ts';
import { untilGone } from '../support/until.ts';
import { taskDraft } from './fixtures.ts';
import { House, keyIn } from './house.ts';
import type { Receiver } from './receiver.ts';

let house: House;
let receiver: Receiver;
beforeEach(async () => {
  house = await House.open();
  receiver = await house.receiver();
});
afterEach(() => house.close());

const isSettled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;
const isHeld = ({ metadata }: Task): boolean => metadata.finalizers?.includes(onCompletionFinalizer) === true;
const isMarked = ({ metadata }: Task): boolean => reportedPhaseAnnotation in (metadata.annotations ?? {});
const heldBecause = ({ status }: Task): string | undefined =>
  status?.conditions?.find(({ type }) => type === heldCondition)?.message;
const ended = { phase: 'Failed', completionTime: '2026-01-02T03:04:00Z' };

/** The store while it takes no Deliveries of this Task. */
function full(
  task: string,
  error = new StoreError('Unavailable', 'the disk is full'),
): { readonly store: ResourceStore; readonly refusals: number; clear(): void } {
  let isFull = true;
  let refusals = 0;
  const store = new Proxy(house.store, {
    get(target, name: keyof ResourceStore) {
      const method = target[name].bind(target) as (...args: unknown[]) => unknown;
      if (name !== 'create') return method;
      return async (draft: { kind: string; spec?: { task?: { name: string } } }) => {
        if (!isFull || draft.kind !== 'Delivery' || draft.spec?.task?.name !== task) return method(draft);
        refusals += 1;
        throw error;
      };
    },
  });
  return {
    store,
    get refusals() {
      return refusals;
    },
    clear() {
      isFull = false;
    },
  };
}

/** Lets the backoff run on until the Task is as wanted. */
async function untilTask(name: string, condition: (task: Task) => boolean): Promise<Task> {
  let seen: Task | undefined;
  const watching = house.task(name, condition).then((task) => {
    seen = task;
  });
  while (seen === undefined) {
    house.clock.advance(500);
    await Promise.race([watching, new Promise((resolve) => setImmediate(resolve))]);
  }
  return seen;
}

const end = async (name: string, metadata = {}): Promise<void> => {
  await house.store.create<'Task'>(taskDraft(name, [{ name, webhook: { url: receiver.url } }], metadata));
  await house.setStatus(name, ended);
};

describe('a Task whose completion cannot be recorded', () => {
  it('says so by a condition, one Event and metrics, and no longer once it is recorded', async () => {
    const disk = full('fix-7');
    await end('fix-7');
    const { metrics, stop } = house.start({}, disk.store);
    const stuck = await untilTask('fix-7', (task) => heldBecause(task) !== undefined);
    expect(heldBecause(stuck)).toContain('the disk is full');
    expect(heldBecause(stuck)).toContain(
      'kubectl annotate task fix-7 -n default telos.dev/skip-completion=true',
    );
    expect(isMarked(stuck)).toBe(false);
    const text = await metrics.metrics();
    const oldest = /^telos_recorder_oldest_unrecorded_seconds (\S+)$/m.exec(text)?.[1];
    expect(Number(oldest)).toBeGreaterThan(5);
    expect(text).toMatch(/^telos_recorder_errors_total [1-9]/m);

    const refusals = disk.refusals;
    house.clock.advance(120_000);
    while (disk.refusals < refusals + 2) {
      house.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    disk.clear();
    const recorded = await untilTask('fix-7', isMarked);
    expect(heldBecause(recorded)).toBeUndefined();
    expect(isHeld(recorded)).toBe(false);
    await house.delivery('fix-7', isSettled);
    await stop();
    expect(await metrics.metrics()).toMatch(/^telos_recorder_oldest_unrecorded_seconds 0$/m);
    const events = (await house.store.list('Event')).items.filter(
      ({ reason }) => reason === 'RecordingFailed',
    );
    expect(events).toHaveLength(1);
  });

  it('does not keep the engine from being ready, nor others from being told', async () => {
    const disk = full('stuck');
    await end('stuck');
    await end('well');
    const { room } = house.start({}, disk.store);
    await room.untilCaughtUp(AbortSignal.timeout(20_000));
    expect(room.caughtUp).toBe(true);
    expect(disk.refusals).toBeGreaterThan(0);
    expect((await house.delivery('well', isSettled)).status?.phase).toBe('Delivered');
  });

  it('is let go by an operator while it is being deleted, and says so', async () => {
    const disk = full('fix-7');
    await end('fix-7', { finalizers: [onCompletionFinalizer] });
    await house.store.delete('Task', keyIn('fix-7'));
    const { stop } = house.start({}, disk.store);
    await untilTask('fix-7', (task) => heldBecause(task) !== undefined);
    await house.store.patch('Task', keyIn('fix-7'), {
      metadata: { annotations: { [skipCompletionAnnotation]: 'true' } },
    });
    await untilGone(house.store, 'Task', keyIn('fix-7'));
    await stop();
    expect(await house.deliveries()).toEqual([]);
    const reasons = (await house.store.list('Event')).items.map(({ reason }) => reason);
    expect(reasons).toContain('CompletionSkipped');
  });

  it('is let go when it is deleted with its namespace, and held until then', async () => {
    const namespace = full('fix-7', new StoreError('NotFound', 'the namespace is being deleted'));
    await end('fix-7', { finalizers: [onCompletionFinalizer] });
    const { stop } = house.start({}, namespace.store);
    const stuck = await untilTask('fix-7', (task) => heldBecause(task) !== undefined);
    expect(isHeld(stuck)).toBe(true);
    await house.store.delete('Task', keyIn('fix-7'));
    await untilGone(house.store, 'Task', keyIn('fix-7'));
    await stop();
    const reasons = (await house.store.list('Event')).items.map(({ reason }) => reason);
    expect(reasons).toContain('NamespaceGone');
  });

  it('is marked all the same when its conditions cannot be written', async () => {
    const disk = full('fix-7');
    const guarded = new Proxy(disk.store, {
      get(target, name: keyof ResourceStore) {
        const method = target[name].bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'patch') return method;
        return async (...args: unknown[]) => {
          const options = args[3] as { subresource?: string } | undefined;
          if (args[0] === 'Task' && options?.subresource === 'status')
            throw new StoreError('Unavailable', 'forbidden');
          return method(...args);
        };
      },
    });
    await end('fix-7');
    house.start({}, guarded);
    while (disk.refusals < 12) {
      house.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    disk.clear();
    await untilTask('fix-7', isMarked);
    await house.delivery('fix-7', isSettled);
  });
});

describe('a Task that is let go in the moment it ends', () => {
  /**
   * A store that lets it go as an API server does: whether there is a newer version is asked before, and not again
   * when it is deleted. What was acknowledged in between goes with it.
   */
  function letsGoAsItEnds(): ResourceStore {
    return new Proxy(house.store, {
      get(target, name: keyof ResourceStore) {
        const method = target[name].bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'patch') return method;
        return async (kind: string, key: Key, patch: Partial<Task>, options: WriteOptions) => {
          if (kind !== 'Task' || patch.metadata?.finalizers !== null)
            return method(kind, key, patch, options);
          await house.setStatus(key.name, ended);
          return method(kind, key, { metadata: { finalizers: null } });
        };
      },
    });
  }

  it('is told, from what the watch says it was when it was deleted', async () => {
    await house.store.create<'Task'>(taskDraft('late', [{ name: 'late', webhook: { url: receiver.url } }]));
    house.start({}, letsGoAsItEnds());
    await house.task('late', isHeld);
    await house.store.delete('Task', keyIn('late'));
    const { status, spec } = await house.delivery('late', isSettled);
    expect(status?.phase).toBe('Delivered');
    expect(spec.task).toMatchObject({ name: 'late', ...ended });
    await untilGone(house.store, 'Task', keyIn('late'));
  });
});
