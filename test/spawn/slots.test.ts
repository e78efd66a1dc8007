import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Slots } from '../../src/spawn/slots.ts';
import type { SpawnedTask } from '../../src/spawn/spawned-task.ts';

const uid = 'u1';

const task = (number: number, state: SpawnedTask['state'], version: number): SpawnedTask => ({
  namespace: 'default',
  name: `t${number}`,
  spawner: { name: 's', uid },
  order: number,
  state,
  version,
});

describe('slots', () => {
  test('go to the oldest that waits, whatever the order of arrival', () => {
    const slots = new Slots();
    for (const number of [3, 1, 2]) slots.change(undefined, task(number, 'waiting', number));
    expect(slots.take(uid, 2)?.name).toBe('t1');
    expect(slots.take(uid, 2)?.name).toBe('t2');
    expect(slots.take(uid, 2)).toBeUndefined();
    expect(slots.counts(uid)).toEqual({ active: 2, waiting: 1 });
  });

  test('stay taken while the view lags behind', () => {
    const slots = new Slots();
    const waiting = task(1, 'waiting', 1);
    slots.change(undefined, waiting);
    slots.take(uid, 1);
    slots.lifted(waiting, 5);
    // Another writer's change of the held-back Task, older than the lift, arrives late.
    slots.change(waiting, task(1, 'waiting', 4));
    slots.change(undefined, task(2, 'waiting', 6));
    expect(slots.take(uid, 1)).toBeUndefined();
  });

  test('come back when a Task ends, is deleted, or is held back anew', () => {
    const slots = new Slots();
    for (const number of [1, 2, 3]) slots.change(undefined, task(number, 'waiting', number));
    const first = slots.take(uid, 1);
    slots.change(first, undefined);
    const second = slots.take(uid, 1);
    expect(second?.name).toBe('t2');
    if (second !== undefined) slots.lifted(second, 10);
    slots.change(second, task(2, 'waiting', 11));
    expect(slots.counts(uid)).toEqual({ active: 0, waiting: 2 });
    expect(slots.take(uid, 1)?.name).toBe('t2');
  });

  test('come back when letting go failed', () => {
    const slots = new Slots();
    slots.change(undefined, task(1, 'waiting', 1));
    const taken = slots.take(uid, 1);
    if (taken !== undefined) slots.putBack(taken);
    expect(slots.counts(uid)).toEqual({ active: 0, waiting: 1 });
    expect(slots.take(uid, 1)?.name).toBe('t1');
  });

  test('are not given to a Task that is being deleted', () => {
    const slots = new Slots();
    const waiting = task(1, 'waiting', 1);
    slots.change(undefined, waiting);
    slots.change(waiting, task(1, 'leaving', 2));
    expect(slots.take(uid, undefined)).toBeUndefined();
    expect(slots.counts(uid)).toEqual({ active: 0, waiting: 0 });
  });

  test('are unlimited without a limit', () => {
    const slots = new Slots();
    for (let number = 1; number <= 100; number += 1) slots.change(undefined, task(number, 'waiting', number));
    for (let number = 1; number <= 100; number += 1)
      expect(slots.take(uid, undefined)?.name).toBe(`t${number}`);
  });

  test('are never more than the limit, however completions, lifts and a lagging view interleave', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat({ max: 1_000_000 }), { minLength: 20, maxLength: 200 }),
        (limit, dice) => {
          const peak = new World(limit).play(dice);
          expect(peak).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });

  test('are all used in the end: every Task has its turn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(), { maxLength: 100 }), (limit, dice) => {
        const world = new World(limit);
        world.play(dice);
        expect(world.finish()).toBe(0);
      }),
    );
  });
});

/** A store and a view of it that lags, driven by dice. */
class World {
  readonly #slots = new Slots();
  readonly #limit: number;
  readonly #store = new Map<string, SpawnedTask>();
  readonly #view = new Map<string, SpawnedTask>();
  /** Changes that the view has not seen. */
  readonly #log: { name: string; now: SpawnedTask | undefined }[] = [];
  readonly #lifting: SpawnedTask[] = [];
  #version = 0;
  #made = 0;
  #peak = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  play(dice: readonly number[]): number {
    for (const roll of dice) {
      const moves = [
        this.#make,
        this.#see,
        this.#see,
        this.#take,
        this.#writeLift,
        this.#complete,
        this.#failLift,
      ];
      moves[roll % moves.length]?.call(this, Math.floor(roll / moves.length));
      this.#peak = Math.max(this.#peak, this.#running());
    }
    return this.#peak;
  }

  /** Lets everything run to its end; returns how many are left. */
  finish(): number {
    for (let round = 0; round < 10_000 && this.#store.size > 0; round += 1) {
      while (this.#log.length > 0) this.#see();
      this.#take();
      while (this.#lifting.length > 0) this.#writeLift(0);
      this.#complete(0);
    }
    return this.#store.size;
  }

  #running(): number {
    return [...this.#store.values()].filter(({ state }) => state === 'active').length;
  }

  #write(name: string, now: SpawnedTask | undefined): void {
    if (now === undefined) this.#store.delete(name);
    else this.#store.set(name, now);
    this.#log.push({ name, now });
  }

  #make(): void {
    this.#made += 1;
    this.#version += 1;
    const made = task(this.#made, 'waiting', this.#version);
    this.#write(made.name, made);
  }

  #see(): void {
    const change = this.#log.shift();
    if (change === undefined) return;
    const before = this.#view.get(change.name);
    if (change.now === undefined) this.#view.delete(change.name);
    else this.#view.set(change.name, change.now);
    this.#slots.change(before, change.now);
  }

  #take(): void {
    const taken = this.#slots.take(uid, this.#limit);
    if (taken !== undefined) this.#lifting.push(taken);
  }

  #writeLift(dice: number): void {
    const [lift] = this.#lifting.splice(dice % Math.max(1, this.#lifting.length), 1);
    if (lift === undefined) return;
    this.#version += 1;
    this.#write(lift.name, { ...lift, state: 'active', version: this.#version });
    this.#slots.lifted(lift, this.#version);
  }

  #failLift(dice: number): void {
    const [lift] = this.#lifting.splice(dice % Math.max(1, this.#lifting.length), 1);
    if (lift !== undefined) this.#slots.putBack(lift);
  }

  #complete(dice: number): void {
    const running = [...this.#store.values()].filter(({ state }) => state === 'active');
    const ended = running[dice % Math.max(1, running.length)];
    if (ended !== undefined) this.#write(ended.name, undefined);
  }
}
