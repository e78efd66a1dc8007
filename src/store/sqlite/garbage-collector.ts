import { decideDelete } from './decide-write.ts';
import type { DependentKey, Transaction } from './transaction.ts';
import type { Writer } from './writer.ts';

/** Dependents looked at in one transaction, so that an owner of thousands does not hold up the others. */
const batchSize = 100;

/**
 * Deletes the dependents of owners that are gone, in steps. The owners stand in the table `garbage` until they
 * are done with, so a crash in between only means that the next start goes on.
 */
export class GarbageCollector {
  readonly #writer: Writer;
  readonly #onFailure: (error: Error) => void;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(writer: Writer, onFailure: (error: Error) => void) {
    this.#writer = writer;
    this.#onFailure = onFailure;
  }

  /** Collects what there is to collect, soon. */
  start(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run()
      .catch((error: Error) => this.#onFailure(error))
      .finally(() => {
        this.#running = undefined;
        if (this.#again) {
          this.#again = false;
          this.start();
        }
      });
  }

  /** Resolves when nothing is left to collect, or collecting failed. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    let step: Step | undefined = await this.#writer.write(nextStep);
    while (step !== undefined) {
      const present: Step = step;
      step = await this.#writer.write((transaction) => collect(transaction, present));
    }
  }
}

/** An owner that is gone, and the dependent up to which it is done with. */
interface Step {
  readonly uid: string;
  readonly after: DependentKey | undefined;
}

function nextStep(transaction: Transaction): Step | undefined {
  const uid = transaction.nextGarbage();
  return uid === undefined ? undefined : { uid, after: undefined };
}

/** Does one step; returns the next, if any. */
function collect(transaction: Transaction, { uid, after }: Step): Step | undefined {
  const dependents = transaction.dependents(uid, after, batchSize);
  for (const key of dependents) {
    const state = transaction.read(key.kind, key);
    if (state === undefined || !transaction.isOrphan(state.resource)) continue;
    transaction.apply(state, decideDelete(state.resource, transaction.now));
  }
  const last = dependents.at(-1);
  if (dependents.length === batchSize && last !== undefined) return { uid, after: last };
  transaction.forgetGarbage(uid);
  // Dependents that went may have been owners themselves.
  return nextStep(transaction);
}
