import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import {
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  reportedRunAnnotation,
} from '../../src/api/names.ts';
import { type Death, DyingStore } from './dying-store.ts';
import { taskDraft } from './fixtures.ts';
import { House } from './house.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

const settled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;
const deaths: Death[] = ['before the write', 'after the write'];
/** More than the room has to write for this Task: holding it, three Deliveries, marking it, three statuses, two Events. */
const moments = Array.from({ length: 12 }, (_, writes) =>
  deaths.map((death) => [death, writes] as const),
).flat();

describe('an engine that is killed', () => {
  it.each(moments)(
    '%s number %i leaves a store from which the next start does the rest',
    async (death, writes) => {
      const receiver = await house.receiver();
      const dying = new DyingStore(house.store, death, writes);
      const first = house.start({}, dying);
      await house.store.create<'Task'>(
        taskDraft('fix-7', [
          { name: 'one', webhook: { url: `${receiver.url}/one` } },
          { name: 'two', webhook: { url: `${receiver.url}/two` } },
          { name: 'bad', webhook: { url: 'ftp://nowhere' } },
        ]),
      );
      await Promise.race([dying.died, house.task('fix-7', isHeld)]);
      await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-02T03:04:00Z' });
      const done = ['one', 'two', 'bad'].map((hook) => house.delivery(hook, settled));
      await Promise.race([dying.died, Promise.all(done)]);
      const stopped = first.stop();
      // The dead cannot write what came of their attempts; they give up after a while.
      house.clock.advance(6_000);
      await stopped;

      const second = house.start();
      const [one, two, bad] = await Promise.all(done);
      const task = await house.task(
        'fix-7',
        (seen) => seen.metadata.annotations?.[reportedPhaseAnnotation] === 'Failed',
      );
      await second.stop();

      expect(task.metadata.annotations?.[reportedRunAnnotation]).toContain(task.metadata.uid);
      expect(isHeld(task)).toBe(false);
      expect((await house.deliveries()).map(({ spec }) => spec.hook.name).sort()).toEqual([
        'bad',
        'one',
        'two',
      ]);
      expect(one?.status).toMatchObject({ phase: 'Delivered' });
      expect(two?.status).toMatchObject({ phase: 'Delivered' });
      expect(bad?.status).toMatchObject({ phase: 'Failed', reason: 'InvalidHook' });
      for (const [path, delivery] of [
        ['/one', one],
        ['/two', two],
      ] as const) {
        const told = receiver.requests.filter((request) => request.path === path);
        expect(told.length).toBeGreaterThanOrEqual(1);
        expect(new Set(told.map(({ headers }) => headers['webhook-id']))).toEqual(
          new Set([delivery?.spec.id]),
        );
        expect(new Set(told.map(({ body }) => body)).size).toBe(1);
      }
      expect(second.room.caughtUp).toBe(true);
    },
  );

  it('is simulated at every write there is', async () => {
    const receiver = await house.receiver();
    const counting = new DyingStore(house.store, 'before the write', Number.MAX_SAFE_INTEGER);
    let writes = 0;
    const { create, patch } = counting;
    counting.create = (...args) => {
      writes += 1;
      return create.apply(counting, args) as never;
    };
    counting.patch = (...args) => {
      writes += 1;
      return patch.apply(counting, args) as never;
    };
    const { stop } = house.start({}, counting);
    await house.store.create<'Task'>(
      taskDraft('fix-7', [
        { name: 'one', webhook: { url: `${receiver.url}/one` } },
        { name: 'two', webhook: { url: `${receiver.url}/two` } },
        { name: 'bad', webhook: { url: 'ftp://nowhere' } },
      ]),
    );
    await house.task('fix-7', isHeld);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-02T03:04:00Z' });
    for (const hook of ['one', 'two', 'bad']) await house.delivery(hook, settled);
    await stop();
    expect(writes).toBe(10);
  });
});

function isHeld(task: { metadata: { finalizers?: string[] | undefined } }): boolean {
  return task.metadata.finalizers?.includes(onCompletionFinalizer) === true;
}
