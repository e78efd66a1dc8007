import { type Clock, systemClock } from '../src/base/clock.ts';

/**
 * How many times faster time passes for the engine. Retries after 5 s, 30 s and 2 min come after 0.5, 3 and 12 s,
 * so that Deliveries run their whole course between kills. It also shrinks what an attempt may take: 10 s to 1 s,
 * and 5 s to connect to 0.5 s. At 20, a hundred TLS handshakes at once on a busy machine made most attempts at
 * healthy receivers time out. Sockets, processes and disks are as slow as ever. A whole number: epoch
 * milliseconds have no fractions.
 */
export const speed = 10;

/**
 * A clock that shows the right time at `startedAt` (epoch milliseconds, real) and goes faster from there. `skewMs`: how
 * far its wall time is ahead, by its own milliseconds.
 *
 * Leases go by it, too, and by nothing else: all they compare are spans of one replica's monotonic time, which goes
 * at the same rate for all. So every span has the share of a Lease that it has as shipped, and what is real in it
 * (calls, a busy machine) takes ten times more: that makes it harder to keep a Lease, never easier to take one.
 */
export function fastClock(startedAt: number, skewMs = 0): Clock {
  return {
    now: () => startedAt + skewMs + (systemClock.now() - startedAt) * speed,
    monotonic: () => systemClock.monotonic() * speed,
    after: (delayMs, fire) => systemClock.after(delayMs / speed, fire),
  };
}
