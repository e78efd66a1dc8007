import type { Health } from './verdict.ts';

/** Attempts in a row that must fail for reasons of the origin's own before it is left alone. */
const failuresToOpen = 5;
const firstProbeMs = 30_000;
const lastProbeMs = 600_000;

/**
 * Whether an origin is worth trying.
 * closed → (5 sick in a row) → open → (probeAt) → probing → (well) → closed, or → (sick) → open for twice as long.
 * An attempt that says nothing of the origin changes nothing.
 */
export type Breaker =
  | { readonly state: 'closed'; readonly failures: number }
  | { readonly state: 'open'; readonly probeAt: number; readonly delayMs: number }
  | { readonly state: 'probing'; readonly delayMs: number };

export const closedBreaker: Breaker = { state: 'closed', failures: 0 };

/** The breaker after an attempt with this outcome. `now` is monotonic milliseconds. */
export function afterAttempt(breaker: Breaker, health: Health, now: number): Breaker {
  if (health === 'unknown') return breaker;
  if (health === 'well') return closedBreaker;
  switch (breaker.state) {
    case 'closed': {
      const failures = breaker.failures + 1;
      return failures < failuresToOpen
        ? { state: 'closed', failures }
        : { state: 'open', probeAt: now + firstProbeMs, delayMs: firstProbeMs };
    }
    case 'open':
      return breaker;
    case 'probing': {
      const delayMs = Math.min(breaker.delayMs * 2, lastProbeMs);
      return { state: 'open', probeAt: now + delayMs, delayMs };
    }
  }
}

/** The breaker at this time: an open one begins to probe when its time has come. */
export function atTime(breaker: Breaker, now: number): Breaker {
  return breaker.state === 'open' && breaker.probeAt <= now
    ? { state: 'probing', delayMs: breaker.delayMs }
    : breaker;
}
