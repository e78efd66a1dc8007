import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { StoreError } from '../errors.ts';
import { isSqliteError } from './sqlite-errors.ts';

/** Trouble that comes and goes (a disk that is all but full) is said once in so many milliseconds. */
const sayAgainMs = 60_000;

/**
 * Whether the file can be used, from what came of using it. It is said here, once, for everybody who meets the
 * same trouble again and again.
 */
export class StoreHealth {
  readonly #clock: Clock;
  readonly #log: Logger;
  #trouble: StoreError | undefined;
  #saidAt: number | undefined;
  #isSaid = false;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** What is wrong with the file, with the remedy; undefined when nothing is known to be. */
  get trouble(): StoreError | undefined {
    return this.#trouble;
  }

  /** Whether the file itself is broken: no success with other parts of it makes that good. */
  get isDamaged(): boolean {
    return this.#trouble?.code === 'Damaged';
  }

  /** Takes note of a failure, if it is one of the file. */
  failed(error: Error): void {
    if (!(error instanceof StoreError) || !isSqliteError(error.cause) || this.isDamaged) return;
    const isNew = this.#trouble === undefined;
    this.#trouble = error;
    const now = this.#clock.monotonic();
    const isRecent = this.#saidAt !== undefined && now - this.#saidAt < sayAgainMs;
    if (!this.isDamaged && (!isNew || isRecent)) return;
    this.#saidAt = now;
    this.#isSaid = true;
    this.#log.error('the store is in trouble', { error: error.message });
  }

  /** Takes note of a change that reached the disk. */
  written(): void {
    if (this.#trouble === undefined || this.isDamaged) return;
    this.#trouble = undefined;
    if (this.#isSaid) this.#log.info('the store is well again');
    this.#isSaid = false;
  }
}
