import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxRetryAfterMs, parseRetryAfter, retryDelayMs } from '../../src/report/schedule.ts';

const seconds = (delays: readonly (number | undefined)[]): (number | undefined)[] =>
  delays.map((ms) => (ms === undefined ? undefined : ms / 1000));

describe('the schedule', () => {
  it('spreads ten attempts over about 28 hours', () => {
    const delays = Array.from({ length: 10 }, (_, index) =>
      retryDelayMs({ attempts: index + 1, maxAttempts: 10, random: 0 }),
    );
    expect(seconds(delays)).toEqual([5, 30, 120, 600, 1800, 7200, 18000, 36000, 36000, undefined]);
  });

  it('repeats the last step when a hook wants more attempts', () => {
    expect(retryDelayMs({ attempts: 19, maxAttempts: 20, random: 0 })).toBe(36_000_000);
    expect(retryDelayMs({ attempts: 20, maxAttempts: 20, random: 0 })).toBeUndefined();
  });

  it('only ever adds jitter, up to 10 %, and never waits less than the receiver asks', () => {
    const input = fc.record({
      attempts: fc.integer({ min: 1, max: 19 }),
      retryAfterMs: fc.option(fc.integer({ min: 0, max: 2 * maxRetryAfterMs }), { nil: undefined }),
      random: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(input, ({ attempts, retryAfterMs, random }) => {
        const plain = retryDelayMs({ attempts, maxAttempts: 20, random: 0 }) ?? 0;
        const least = Math.max(plain, Math.min(retryAfterMs ?? 0, maxRetryAfterMs));
        const delay = retryDelayMs({ attempts, maxAttempts: 20, retryAfterMs, random }) ?? 0;
        expect(delay).toBeGreaterThanOrEqual(least);
        expect(delay).toBeLessThanOrEqual(Math.ceil(least * 1.1));
      }),
    );
  });
});

describe('a schedule of an operator', () => {
  it('has one attempt more than waits, unless the hook says how many', () => {
    const stepsMs = [1_000, 60_000];
    const delays = (maxAttempts?: number): (number | undefined)[] =>
      [1, 2, 3, 4].map((attempts) => retryDelayMs({ attempts, maxAttempts, stepsMs, random: 0 }));
    expect(seconds(delays())).toEqual([1, 60, undefined, undefined]);
    expect(seconds(delays(4))).toEqual([1, 60, 60, undefined]);
    expect(seconds(delays(2))).toEqual([1, undefined, undefined, undefined]);
  });
});

describe('any schedule', () => {
  it('ends after exactly as many attempts as the hook allows, each wait no shorter than the one before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), (maxAttempts) => {
        const waits: number[] = [];
        for (let attempts = 1; ; attempts += 1) {
          const delay = retryDelayMs({ attempts, maxAttempts, random: 0 });
          if (delay === undefined) break;
          waits.push(delay);
        }
        expect(waits).toHaveLength(maxAttempts - 1);
        expect(waits).toEqual([...waits].sort((a, b) => a - b));
      }),
    );
  });

  it('waits for no Retry-After longer than a day, however it is written', () => {
    const now = Date.parse('2026-01-02T03:04:05Z');
    const date = fc.date({ noInvalidDate: true, min: new Date('1990-01-01'), max: new Date('2999-01-01') });
    const header = fc.oneof(
      fc.nat().map(String),
      fc.bigInt({ min: 0n }).map(String),
      date.map((at) => at.toUTCString()),
      fc.string(),
    );
    fc.assert(
      fc.property(header, (value) => {
        const wait = parseRetryAfter(value, now) ?? 0;
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(maxRetryAfterMs);
      }),
    );
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');

  it.each([
    ['0', 0],
    ['7', 7_000],
    [' 120 ', 120_000],
    ['86400', maxRetryAfterMs],
    ['86401', maxRetryAfterMs],
    ['99999999999999999999', maxRetryAfterMs],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
    ['Friday, 02-Jan-26 03:05:05 GMT', 60_000],
    ['Fri Jan  2 03:05:05 2026', 60_000],
    ['Fri, 02 Jan 2026 03:00:00 GMT', 0],
    ['Sat, 02 Jan 2027 03:00:00 GMT', maxRetryAfterMs],
    ['-5', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j asks for %j ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});
