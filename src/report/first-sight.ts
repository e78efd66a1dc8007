import type { Clock } from '../base/clock.ts';

/** So many completions are remembered; a backlog beyond that is not measured. */
const maxRemembered = 10_000;

/**
 * Remembers when the terminal phase behind a Delivery was seen, until its first POST: what phase-to-POST
 * latency is measured with. Best effort, and lost on restart.
 */
export class FirstSight {
  readonly #clock: Clock;
  readonly #seenAt = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `seenAt` is monotonic milliseconds. */
  remember(deliveryName: string, seenAt: number): void {
    if (this.#seenAt.size < maxRemembered) this.#seenAt.set(deliveryName, seenAt);
  }

  /** Seconds since the phase was seen, once; undefined when that is not known. */
  take(deliveryName: string): number | undefined {
    const seenAt = this.#seenAt.get(deliveryName);
    if (seenAt === undefined) return undefined;
    this.#seenAt.delete(deliveryName);
    return (this.#clock.monotonic() - seenAt) / 1000;
  }
}
