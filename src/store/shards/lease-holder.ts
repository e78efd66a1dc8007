import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isStoreError } from '../errors.ts';
import { type Lease, type LeaseBook, type LeaseDraft, type LeaseTiming, letGoMs } from './lease.ts';
import { LeaseTenure, momentOf } from './tenure.ts';

export interface LeaseHolderOptions {
  readonly book: LeaseBook;
  readonly self: string;
  readonly timing: LeaseTiming;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * One Lease that this replica holds. Its tenure ends by itself when renewing does not succeed in time.
 *
 * L1. The tenure counts from before the write that renewed it, others count from after they saw it: whatever their
 *     clocks show, it is over before anybody may take the Lease.
 * L2. A write whose answer was lost counts as failed here, and may count as done for others: the safe side of both.
 */
export class LeaseHolder {
  readonly tenure: LeaseTenure;
  readonly #options: LeaseHolderOptions;
  #lease: Lease;
  /** False once somebody else is known to have it. */
  #isOurs = true;
  /** Whether the present trouble has been told. */
  #complained = false;
  readonly #stopped = new AbortController();
  readonly #renewing: Promise<void>;

  private constructor(options: LeaseHolderOptions, lease: Lease, tenure: LeaseTenure) {
    this.#options = options;
    this.#lease = lease;
    this.tenure = tenure;
    tenure.signal.addEventListener('abort', () => this.#stopped.abort(), { once: true });
    this.#renewing = this.#renew();
  }

  /**
   * Takes a Lease that nobody holds, or whose holder is seen to be gone; `seen` is what that was judged by.
   * Undefined when somebody else was quicker. @throws StoreError `Unavailable`, `NotFound` without the namespace
   */
  static async take(
    name: string,
    seen: Lease | undefined,
    options: LeaseHolderOptions,
  ): Promise<LeaseHolder | undefined> {
    const { book, self, timing, clock } = options;
    const draft: LeaseDraft = {
      name,
      holder: self,
      durationMs: timing.durationMs,
      transitions: (seen?.transitions ?? -1) + (seen?.holder === self ? 0 : 1),
    };
    const begun = momentOf(clock);
    try {
      const lease = await within(timing.callMs, clock, (signal) =>
        seen === undefined
          ? book.create(draft, { signal })
          : book.replace({ ...draft, version: seen.version }, { signal }),
      );
      return new LeaseHolder(options, lease, new LeaseTenure(`Lease ${name}`, clock, timing.termMs, begun));
    } catch (thrown) {
      if (isStoreError(thrown, 'Conflict') || isStoreError(thrown, 'AlreadyExists')) return undefined;
      throw thrown;
    }
  }

  /** Lets it go, so that another may take it at once. Only when nothing of the work is under way. Never rejects. */
  async release(): Promise<void> {
    const { book, clock, timing, log } = this.#options;
    this.#stopped.abort();
    await this.#renewing;
    this.tenure.end('it was given up');
    if (!this.#isOurs) return;
    try {
      const free = { ...this.#lease, holder: undefined, durationMs: letGoMs };
      await within(timing.callMs, clock, (signal) => book.replace(free, { signal }));
    } catch (thrown) {
      // It runs out by itself, or is another's by now.
      log[isStoreError(thrown, 'Conflict') ? 'debug' : 'warn'](
        'a Lease could not be let go; others take it when it has run out',
        {
          lease: this.#lease.name,
          error: toError(thrown).message,
        },
      );
    }
  }

  async #renew(): Promise<void> {
    const { clock, timing } = this.#options;
    const { signal } = this.#stopped;
    let waitMs = timing.renewMs;
    while (
      await sleep(waitMs, signal, clock).then(
        () => true,
        () => false,
      )
    ) {
      waitMs = (await this.#renewOnce(signal)) ? timing.renewMs : timing.renewMs / 4;
    }
  }

  /** Whether it is renewed. Never rejects. */
  async #renewOnce(stopped: AbortSignal): Promise<boolean> {
    const { book, clock, timing, log } = this.#options;
    if (!this.tenure.isHeld) return false;
    const begun = momentOf(clock);
    try {
      // Whatever a person made of it meanwhile, others go by what this replica goes by.
      const renewed = { ...this.#lease, durationMs: timing.durationMs };
      this.#lease = await within(timing.callMs, clock, (signal) => book.replace(renewed, { signal }));
      this.tenure.renew(begun);
      this.#complained = false;
      return true;
    } catch (thrown) {
      if (stopped.aborted) return false;
      log[this.#complained ? 'debug' : 'warn']('renewing a Lease will be tried again', {
        lease: this.#lease.name,
        error: toError(thrown).message,
      });
      this.#complained = true;
      if (isStoreError(thrown, 'NotFound')) this.#isLost('its Lease was deleted');
      else if (isStoreError(thrown, 'Conflict')) await this.#lookAgain();
      return false;
    }
  }

  /** Somebody wrote it: a renewal of our own whose answer was lost, a person's annotation, or its new holder. */
  async #lookAgain(): Promise<void> {
    const { book, clock, timing, self } = this.#options;
    const { name } = this.#lease;
    try {
      const now = await within(timing.callMs, clock, (signal) => book.get(name, { signal }));
      if (now?.holder === self) this.#lease = now;
      else this.#isLost(`its Lease is held by ${now?.holder ?? 'nobody'}`);
    } catch {
      // The next renewal meets the same.
    }
  }

  #isLost(why: string): void {
    this.#isOurs = false;
    this.tenure.end(why);
  }
}

/** Gives a call up when it takes too long. @throws what it throws, the signal's reason when it is given up */
export async function within<T>(
  ms: number,
  clock: Clock,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const cancel = clock.after(ms, () => late.abort(new Error(`there was no answer within ${ms} ms`)));
  try {
    return await call(late.signal);
  } finally {
    cancel();
  }
}
