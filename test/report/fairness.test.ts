import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterAttempt, atTime, type Breaker, closedBreaker } from '../../src/report/breaker.ts';
import { FairQueue } from '../../src/report/fair-queue.ts';
import { Origins } from '../../src/report/origins.ts';

const takeAll = (queue: FairQueue): { lane: string; key: string }[] => {
  const taken = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next);
  return taken;
};

describe('the queue', () => {
  it('lets lanes take turns, however long one is', () => {
    const queue = new FairQueue({ total: 100, perLane: 100 });
    for (let index = 0; index < 50; index += 1) queue.add('long', `l${index}`);
    for (const key of ['a', 'b']) queue.add('short', key);
    expect(
      takeAll(queue)
        .slice(0, 4)
        .map((next) => next.key),
    ).toEqual(['l0', 'a', 'l1', 'b']);
  });

  it('holds no more than its limits under way', () => {
    const queue = new FairQueue({ total: 5, perLane: 2 });
    for (const lane of ['x', 'y', 'z']) for (const key of ['1', '2', '3']) queue.add(lane, lane + key);
    expect(takeAll(queue).map((next) => next.key)).toEqual(['x1', 'y1', 'z1', 'x2', 'y2']);
    queue.done('x');
    expect(takeAll(queue).map((next) => next.key)).toEqual(['z2']);
  });

  it('passes over a closed lane and takes it up again when it opens', () => {
    const queue = new FairQueue({ total: 10, perLane: 10 });
    queue.setLimit('sick', 0);
    queue.add('sick', 's');
    queue.add('well', 'w');
    expect(takeAll(queue).map((next) => next.key)).toEqual(['w']);
    queue.setLimit('sick', undefined);
    expect(takeAll(queue).map((next) => next.key)).toEqual(['s']);
  });

  it('keeps a key once and can take it out', () => {
    const queue = new FairQueue({ total: 10, perLane: 10 });
    queue.add('x', 'a');
    queue.add('x', 'a');
    queue.add('x', 'b');
    queue.remove('x', 'b');
    queue.remove('y', 'never');
    expect(queue.waiting).toBe(1);
    expect(takeAll(queue)).toEqual([{ lane: 'x', key: 'a' }]);
  });

  it('never lets a lane that may go wait for one that hangs', () => {
    const lanes = fc.array(fc.record({ waiting: fc.integer({ min: 1, max: 40 }), hangs: fc.boolean() }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(lanes, (all) => {
        const queue = new FairQueue({ total: 256, perLane: 16, reserved: 64 });
        for (const [lane, { waiting }] of all.entries())
          for (let key = 0; key < waiting; key += 1) queue.add(String(lane), `${lane}/${key}`);
        const delivered = new Set<string>();
        for (let batch = takeAll(queue); batch.length > 0; batch = takeAll(queue)) {
          for (const { lane, key } of batch) {
            if (all[Number(lane)]?.hangs === true) continue;
            delivered.add(key);
            queue.done(lane);
          }
        }
        const expected = all.reduce((sum, { waiting, hangs }) => sum + (hangs ? 0 : waiting), 0);
        expect(delivered.size).toBe(expected);
      }),
    );
  });
});

describe('the breaker', () => {
  const sick = (times: number, breaker: Breaker = closedBreaker, now = 0): Breaker =>
    Array.from({ length: times }).reduce<Breaker>((state) => afterAttempt(state, 'sick', now), breaker);

  it('opens after five failures in a row and not after four', () => {
    expect(sick(4).state).toBe('closed');
    expect(sick(5)).toEqual({ state: 'open', probeAt: 30_000, delayMs: 30_000 });
    expect(sick(4, afterAttempt(sick(4), 'well', 0)).state).toBe('closed');
  });

  it('is not moved by what says nothing of the origin', () => {
    expect(sick(1, afterAttempt(sick(4), 'unknown', 0)).state).toBe('open');
  });

  it('probes after 30 s, then waits twice as long, up to 10 min, and closes on the first good answer', () => {
    const waits: number[] = [];
    let breaker = sick(5);
    for (let now = 0; breaker.state === 'open' && waits.length < 7; ) {
      waits.push((breaker.probeAt - now) / 1000);
      now = breaker.probeAt;
      expect(atTime(breaker, now - 1).state).toBe('open');
      breaker = afterAttempt(atTime(breaker, now), 'sick', now);
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 600, 600]);
    expect(afterAttempt(atTime(breaker, Infinity), 'well', 0)).toEqual(closedBreaker);
  });
});

describe('an origin', () => {
  it('is closed while it asks for a pause, then open as before', () => {
    const origins = new Origins();
    origins.observe('https://a', { health: 'well', pauseMs: 5_000 }, 0);
    expect(origins.gate('https://a', 4_999)).toEqual({ limit: 0, opensAt: 5_000 });
    expect(origins.gate('https://a', 5_000)).toEqual({ limit: undefined, opensAt: undefined });
    expect(origins.gate('https://b', 0)).toEqual({ limit: undefined, opensAt: undefined });
  });

  it('gets one probe at a time after its breaker opened', () => {
    const origins = new Origins();
    for (let time = 0; time < 5; time += 1) origins.observe('https://a', { health: 'sick', pauseMs: 0 }, 0);
    expect(origins.gate('https://a', 1)).toEqual({ limit: 0, opensAt: 30_000 });
    expect(origins.gate('https://a', 30_000)).toEqual({ limit: 1, opensAt: undefined });
    origins.observe('https://a', { health: 'well', pauseMs: 0 }, 30_001);
    expect(origins.gate('https://a', 30_001).limit).toBeUndefined();
  });
});
