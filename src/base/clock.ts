/**
 * Time, as everything in Telos sees it. Tests pass their own, so that no test sleeps.
 * Wall time can jump (NTP, a laptop that slept); use `monotonic` for durations.
 */
export interface Clock {
  /** Wall time in milliseconds since the epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number;
  /** Calls `fire` once after `delayMs`; the returned function cancels it. Delays over 24 days are allowed. */
  after(delayMs: number, fire: () => void): () => void;
}

/** The longest delay that setTimeout takes (2^31 - 1 ms); longer ones are cut into steps. */
const maxTimerMs = 2_147_483_647;

/**
 * The machine's own clock. Its timers do not keep the process alive. A timer fires after what has come in
 * already: a process that stood still (a laptop that slept) must not take an answer that waits to be read for
 * one that came too late.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fire) {
    let timer: NodeJS.Timeout;
    let fired: NodeJS.Immediate | undefined;
    const arm = (leftMs: number): void => {
      const step = Math.min(Math.max(leftMs, 0), maxTimerMs);
      timer = setTimeout(() => {
        if (leftMs > step) arm(leftMs - step);
        else fired = setImmediate(fire);
      }, step);
      timer.unref();
    };
    arm(delayMs);
    return () => {
      clearTimeout(timer);
      clearImmediate(fired);
    };
  },
};
