import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Reconciled, Workqueue, type WorkqueueOptions } from '../../src/store/workqueue.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A reconcile that is under way until the test ends it. */
interface Call {
  readonly key: string;
  end(result?: Reconciled | Error): Promise<void>;
}

let clock: ManualClock;
let abort: AbortController;
let running: Promise<void>;
let calls: Call[];
let errors: { key: string; message: string; backoffMs: number }[];

beforeEach(() => {
  clock = new ManualClock();
  abort = new AbortController();
  calls = [];
  errors = [];
  running = Promise.resolve();
});
afterEach(async () => {
  abort.abort();
  for (const call of calls) await call.end();
  await running;
});

function queue(options: Partial<WorkqueueOptions> = {}): Workqueue {
  const made = new Workqueue({
    clock,
    concurrency: 2,
    onError: (key, error, backoffMs) => errors.push({ key, message: error.message, backoffMs }),
    reconcile: (key) =>
      new Promise((resolve, reject) => {
        calls.push({
          key,
          async end(result) {
            if (result instanceof Error) reject(result);
            else resolve(result);
            await settle();
          },
        });
      }),
    ...options,
  });
  running = made.run(abort.signal);
  return made;
}

/** Lets promises that are settled take effect. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const keys = (): string[] => calls.map((call) => call.key);

describe('a workqueue', () => {
  test('reconciles keys in order of arrival, as many side by side as it may', async () => {
    const q = queue();
    for (const key of ['a', 'b', 'c', 'd']) q.add(key);
    expect(keys()).toEqual(['a', 'b']);
    expect(q.depth).toBe(2);
    await calls[1]?.end();
    expect(keys()).toEqual(['a', 'b', 'c']);
    await calls[0]?.end();
    expect(keys()).toEqual(['a', 'b', 'c', 'd']);
    expect(q.depth).toBe(0);
  });

  test('takes up what was added before it ran', async () => {
    const started: string[] = [];
    const q = new Workqueue({
      clock,
      concurrency: 1,
      onError: () => {},
      reconcile: async (key) => {
        started.push(key);
        return undefined;
      },
    });
    q.add('a');
    q.addAfter('b', 10);
    clock.advance(10);
    expect(started).toEqual([]);
    running = q.run(abort.signal);
    await settle();
    expect(started).toEqual(['a', 'b']);
  });

  test('a key is reconciled by one call at a time, and once more when it was added meanwhile', async () => {
    const q = queue();
    q.add('a');
    for (let times = 0; times < 3; times += 1) q.add('a');
    expect(keys()).toEqual(['a']);
    expect(q.depth).toBe(1);
    await calls[0]?.end();
    expect(keys()).toEqual(['a', 'a']);
    await calls[1]?.end();
    expect(keys()).toEqual(['a', 'a']);
  });

  test('a key waits once, however often it is added', async () => {
    const q = queue({ concurrency: 1 });
    for (const key of ['a', 'b', 'b', 'b']) q.add(key);
    await calls[0]?.end();
    await calls[1]?.end();
    expect(keys()).toEqual(['a', 'b']);
  });

  test('of several delays the earliest counts, and an addition at once overtakes them', async () => {
    const q = queue();
    q.addAfter('a', 100);
    q.addAfter('a', 50);
    q.addAfter('a', 200);
    clock.advance(49);
    expect(keys()).toEqual([]);
    clock.advance(1);
    expect(keys()).toEqual(['a']);
    await calls[0]?.end();
    clock.advance(1000);
    expect(keys()).toEqual(['a']);
    q.addAfter('b', 100);
    q.add('b');
    await calls[1]?.end();
    clock.advance(1000);
    expect(keys()).toEqual(['a', 'b']);
  });

  test('a reconcile may ask to be called again', async () => {
    const q = queue();
    q.add('a');
    await calls[0]?.end({ againAfterMs: 5000 });
    clock.advance(4999);
    expect(keys()).toEqual(['a']);
    clock.advance(1);
    expect(keys()).toEqual(['a', 'a']);
  });

  test('a throw means again after a backoff that doubles up to a limit; success forgets it', async () => {
    const q = queue({ backoffMs: 100, maxBackoffMs: 1000 });
    q.add('a');
    for (const [index, base] of [100, 200, 400, 800, 1000, 1000].entries()) {
      await calls[index]?.end(new Error(`failure ${index}`));
      const error = errors[index];
      expect(error).toMatchObject({ key: 'a', message: `failure ${index}` });
      expect(error?.backoffMs).toBeGreaterThanOrEqual(base);
      expect(error?.backoffMs).toBeLessThanOrEqual(base * 1.1);
      clock.advance(base - 1);
      expect(calls).toHaveLength(index + 1);
      clock.advance(base);
      expect(calls).toHaveLength(index + 2);
    }
    await calls[6]?.end();
    q.add('a');
    await calls[7]?.end(new Error('anew'));
    expect(errors.at(-1)?.backoffMs).toBeLessThanOrEqual(110);
  });

  test('a reconcile that throws before it waits is a failure like any other', async () => {
    const q = queue({
      reconcile: () => {
        throw new Error('at once');
      },
    });
    q.add('a');
    await settle();
    expect(errors.map((error) => error.message)).toEqual(['at once']);
  });

  test('a failing key does not hold up the others', async () => {
    const q = queue({ concurrency: 1 });
    q.add('bad');
    q.add('good');
    await calls[0]?.end(new Error('no'));
    expect(keys()).toEqual(['bad', 'good']);
  });

  test('a key added while it fails is reconciled at once', async () => {
    const q = queue();
    q.add('a');
    q.add('a');
    await calls[0]?.end(new Error('no'));
    expect(keys()).toEqual(['a', 'a']);
    await calls[1]?.end();
    clock.advance(100_000);
    expect(keys()).toEqual(['a', 'a']);
  });

  test('keys that are put off again and again take no room for it', async () => {
    let count = 0;
    const q = queue({
      reconcile: async () => {
        count += 1;
        return { againAfterMs: 3_600_000 };
      },
    });
    for (let times = 0; times < 2000; times += 1) {
      q.add('a');
      await settle();
    }
    expect(count).toBe(2000);
    expect(q.delayed).toBeLessThan(300);
    clock.advance(3_600_000);
    await settle();
    expect(count).toBe(2001);
  });

  test('run ends when the signal aborts and what was under way has ended; nothing new is begun', async () => {
    const q = queue({ concurrency: 1 });
    q.add('a');
    q.add('b');
    q.addAfter('c', 10);
    let ended = false;
    const end = running.then(() => {
      ended = true;
    });
    abort.abort();
    await settle();
    expect(ended).toBe(false);
    await calls[0]?.end({ againAfterMs: 1 });
    await end;
    q.add('d');
    clock.advance(1000);
    expect(keys()).toEqual(['a']);
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('what is thrown because of the abort is no failure', async () => {
    const q = queue({
      reconcile: (_key, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
    });
    q.add('a');
    abort.abort();
    await running;
    expect(errors).toEqual([]);
  });
});
