import { afterAttempt, atTime, type Breaker, closedBreaker } from './breaker.ts';
import type { Health } from './verdict.ts';

/** An origin that was not tried for so long has nothing waiting: a sick one would have been probed. Milliseconds. */
const forgetAfterMs = 3_600_000;

/** From so many origins on it is worth looking for some to forget. */
const worthSweeping = 1_000;

interface OriginState {
  breaker: Breaker;
  /** When it was last tried, monotonic milliseconds. */
  triedAt: number;
  /** Nothing is sent before; 0 when it did not ask for that. Monotonic milliseconds. */
  pausedUntil: number;
}

/** How many attempts at an origin may be under way: undefined is as many as at any. */
export interface Gate {
  readonly limit: 0 | 1 | undefined;
  /** When a closed gate is to be looked at again, monotonic milliseconds. */
  readonly opensAt: number | undefined;
}

/** What is known of each origin's health. Keeps only those that are not simply well, and were tried lately. */
export class Origins {
  readonly #states = new Map<string, OriginState>();
  #sweepAt = worthSweeping;

  get size(): number {
    return this.#states.size;
  }

  /** Origins whose breaker is not closed. */
  get sick(): number {
    let sick = 0;
    for (const { breaker } of this.#states.values()) if (breaker.state !== 'closed') sick += 1;
    return sick;
  }

  /** Takes note of an attempt; returns the breaker's state before and after. */
  observe(
    origin: string,
    attempt: { readonly health: Health; readonly pauseMs: number },
    now: number,
  ): { readonly before: Breaker['state']; readonly after: Breaker['state'] } {
    const state = this.#states.get(origin) ?? { breaker: closedBreaker, pausedUntil: 0, triedAt: now };
    state.triedAt = now;
    const before = state.breaker;
    state.breaker = afterAttempt(before, attempt.health, now);
    if (attempt.pauseMs > 0) state.pausedUntil = Math.max(state.pausedUntil, now + attempt.pauseMs);
    const quiet = state.breaker.state === 'closed' && state.breaker.failures === 0;
    if (quiet && state.pausedUntil <= now) this.#states.delete(origin);
    else this.#states.set(origin, state);
    return { before: before.state, after: state.breaker.state };
  }

  /** Forgets origins that nothing was sent to for a while, from time to time; returns them. */
  forgetOld(now: number): readonly string[] {
    if (this.#states.size < this.#sweepAt) return [];
    const old: string[] = [];
    for (const [origin, { triedAt, pausedUntil }] of this.#states)
      if (now - triedAt > forgetAfterMs && pausedUntil <= now) old.push(origin);
    for (const origin of old) this.#states.delete(origin);
    // Looking through all of them must not be each attempt's burden.
    this.#sweepAt = Math.max(worthSweeping, 2 * this.#states.size);
    return old;
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
