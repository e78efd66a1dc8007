import { type Clock, systemClock } from '../src/base/clock.ts';

/**
 * How many times faster time passes for the engine. Retries after 5 s, 30 s and 2 min come after 0.25, 1.5 and
 * 6 s, so that Deliveries run their whole course between kills. It also shrinks what an attempt may take (10 s
 * to 0.5 s), and at 20 a healthy receiver on a busy machine still answers in time, or at the next attempt.
 * Sockets, processes and disks are as slow as ever. A whole number: epoch milliseconds have no fractions.
 */
const speed = 20;

/** A clock that shows the right time at `startedAt` (epoch milliseconds, real) and goes faster from there. */
export function fastClock(startedAt: number): Clock {
  return {
    now: () => startedAt + (systemClock.now() - startedAt) * speed,
    monotonic: () => systemClock.monotonic() * speed,
    after: (delayMs, fire) => systemClock.after(delayMs / speed, fire),
  };
}
