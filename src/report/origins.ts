import { afterAttempt, atTime, type Breaker, closedBreaker } from './breaker.ts';
import type { Health } from './verdict.ts';

interface OriginState {
  breaker: Breaker;
  /** Nothing is sent before; 0 when it did not ask for that. Monotonic milliseconds. */
  pausedUntil: number;
}

/** How many attempts at an origin may be under way: undefined is as many as at any. */
export interface Gate {
  readonly limit: 0 | 1 | undefined;
  /** When a closed gate is to be looked at again, monotonic milliseconds. */
  readonly opensAt: number | undefined;
}

/** What is known of each origin's health. Keeps only those that are not simply well. */
export class Origins {
  readonly #states = new Map<string, OriginState>();

  /** Takes note of an attempt; returns the breaker's state before and after. */
  observe(
    origin: string,
    attempt: { readonly health: Health; readonly pauseMs: number },
    now: number,
  ): { readonly before: Breaker['state']; readonly after: Breaker['state'] } {
    const state = this.#states.get(origin) ?? { breaker: closedBreaker, pausedUntil: 0 };
    const before = state.breaker;
    state.breaker = afterAttempt(before, attempt.health, now);
    if (attempt.pauseMs > 0) state.pausedUntil = Math.max(state.pausedUntil, now + attempt.pauseMs);
    const quiet = state.breaker.state === 'closed' && state.breaker.failures === 0;
    if (quiet && state.pausedUntil <= now) this.#states.delete(origin);
    else this.#states.set(origin, state);
    return { before: before.state, after: state.breaker.state };
  }

  /** The origin's gate at this time; an open breaker whose time has come turns to probing. */
  gate(origin: string, now: number): Gate {
    const state = this.#states.get(origin);
    if (state === undefined) return { limit: undefined, opensAt: undefined };
    state.breaker = atTime(state.breaker, now);
    const { breaker, pausedUntil } = state;
    const opensAt = Math.max(pausedUntil, breaker.state === 'open' ? breaker.probeAt : 0);
    if (opensAt > now) return { limit: 0, opensAt };
    return { limit: breaker.state === 'probing' ? 1 : undefined, opensAt: undefined };
  }
}
