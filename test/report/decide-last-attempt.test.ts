import { expect, it } from 'vitest';
import { type Departure, decideDeparture, lastAttemptMs } from '../../src/report/decide-last-attempt.ts';

const departure = (changes: Partial<Departure> = {}) =>
  decideDeparture({ namespace: 'goes', underWay: false, sinceMs: 0, ...changes });

it('makes a last attempt at a Delivery that goes with its namespace', () => {
  expect(departure()).toEqual({ do: 'attempt' });
  expect(departure({ sinceMs: lastAttemptMs })).toEqual({ do: 'attempt' });
});

it('makes none when one is under way', () => {
  expect(departure({ underWay: true })).toEqual({ do: 'count', outcome: 'underWay' });
  expect(departure({ underWay: true, sinceMs: lastAttemptMs + 1 })).toEqual({
    do: 'count',
    outcome: 'underWay',
  });
});

it('makes none when its time is over', () => {
  expect(departure({ sinceMs: lastAttemptMs + 1 })).toEqual({ do: 'count', outcome: 'unsent' });
});

it('does not send what somebody deleted, whatever else is so', () => {
  for (const underWay of [true, false])
    for (const sinceMs of [0, lastAttemptMs + 1])
      expect(departure({ namespace: 'stays', underWay, sinceMs })).toEqual({ do: 'leave' });
});

it('asks again while nobody knows what becomes of the namespace, and not for ever', () => {
  for (const underWay of [true, false])
    expect(departure({ namespace: 'unknown', underWay })).toEqual({ do: 'ask' });
  expect(departure({ namespace: 'unknown', sinceMs: lastAttemptMs + 1 })).toEqual({
    do: 'count',
    outcome: 'unsent',
  });
});
