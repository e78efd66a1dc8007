import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../src/base/duration.ts';

describe('a duration that people write', () => {
  test.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
    ['0', 0],
  ])('%s is read', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', '5', '-5s', '5 s', 's', '1h 30m', '5parsecs', '1e9h', '٣s', '9999999999s', '0x5s'])(
    '%j is refused',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  test('any whole number of any unit is read exactly', () => {
    const units = fc.constantFrom(['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000]) as fc.Arbitrary<
      [string, number]
    >;
    fc.assert(
      fc.property(fc.nat(999_999), units, (amount, [unit, ms]) => {
        expect(parseDuration(`${amount}${unit}`)).toBe(amount * ms);
      }),
    );
  });
});

describe('a duration shown', () => {
  test.each([
    [-5, '0s'],
    [0, '0s'],
    [119_999, '119s'],
    [120_000, '2m'],
    [330_000, '5m30s'],
    [3_600_000, '60m'],
    [11_100_000, '3h5m'],
    [36_000_000, '10h'],
    [190_800_000, '2d5h'],
    [864_000_000, '10d'],
    [63_504_000_000, '2y5d'],
    [315_360_000_000, '10y'],
  ])('%d ms reads %s, as ages do in kubectl', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
