import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import { decideDelete } from './decide-write.ts';
import type { Transaction } from './transaction.ts';
import type { Writer } from './writer.ts';

/** History kept for watches and lists under way: all changes of so many milliseconds, and so many at least. */
export const historyMs = 600_000;
export const historyRevisions = 5000;
/** Events go after this time, as in Kubernetes. */
export const eventLifetimeMs = 3_600_000;

/** How often it is looked for what can go. */
const tickMs = 10_000;
/** What one step may take up: small, because writes wait for it. */
const versionsPerStep = 250;
const eventsPerStep = 100;

/** Removes, little by little, the history that is no longer kept and the Events that are too old. */
export class Compactor {
  readonly #writer: Writer;
  readonly #clock: Clock;
  readonly #onFailure: (error: Error) => void;
  #cancel: () => void = () => {};
  #running: Promise<void> | undefined;
  /** Set by each tick, also while a run is under way: time went on since it looked. */
  #due = false;
  #stopped = false;

  constructor(writer: Writer, clock: Clock, onFailure: (error: Error) => void) {
    this.#writer = writer;
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  start(): void {
    this.#cancel = this.#clock.after(tickMs, () => {
      this.#due = true;
      this.#running ??= this.#run()
        .catch((thrown: unknown) => this.#onFailure(toError(thrown)))
        .finally(() => {
          this.#running = undefined;
        });
      this.start();
    });
  }

  /** Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#due && !this.#stopped) {
      this.#due = false;
      await this.#exhaust(removeOldEvents);
      await this.#exhaust(compactHistory);
    }
  }

  async #exhaust(step: (transaction: Transaction) => boolean): Promise<void> {
    while (!this.#stopped && (await this.#writer.write(step))) {
      // Whoever waits to write or read comes first.
      await turn();
    }
  }
}

/** Returns whether there may be more. */
function compactHistory(transaction: Transaction): boolean {
  return transaction.compact(historyMs, historyRevisions, versionsPerStep);
}

/** Returns whether there may be more. */
function removeOldEvents(transaction: Transaction): boolean {
  const keys = transaction.eventsOlderThan(eventLifetimeMs, eventsPerStep);
  for (const key of keys) {
    const event = transaction.read('Event', key);
    if (event === undefined) continue;
    transaction.apply(event, decideDelete(event.resource, transaction.now));
  }
  return keys.length === eventsPerStep;
}
