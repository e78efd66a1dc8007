import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import type { FilePlace } from './file-place.ts';
import { DamagedRowError, isBusy, isSqliteError, toStoreError } from './sqlite-errors.ts';
import type { Tables } from './tables.ts';
import { Transaction } from './transaction.ts';

/** How long one transaction may take in more operations: the event loop stands still meanwhile. */
const sliceMs = 10;
/** How long writes wait for another process before they fail. */
const patienceMs = 30_000;

interface Pending {
  /** Returns what settles the promise once the transaction is committed. */
  readonly run: (transaction: Transaction) => () => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * The only way to write: what is handed over in one turn of the event loop, or while another process has the
 * file, shares one transaction and so one flush to disk (group commit). Promises settle after the commit.
 */
export class Writer {
  readonly #tables: Tables;
  readonly #place: FilePlace;
  readonly #clock: Clock;
  readonly #onCommit: (transaction: Transaction) => void;
  readonly #onFailure: (error: Error) => void;
  #queue: Pending[] = [];
  #scheduled = false;
  #busySince: number | undefined;
  #idle: (() => void)[] = [];

  /** `onFailure` is told of each transaction that could not be. */
  constructor(
    tables: Tables,
    place: FilePlace,
    clock: Clock,
    onCommit: (transaction: Transaction) => void,
    onFailure: (error: Error) => void,
  ) {
    this.#tables = tables;
    this.#place = place;
    this.#clock = clock;
    this.#onCommit = onCommit;
    this.#onFailure = onFailure;
  }

  /** Whether nothing waits to be written. */
  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Runs an operation in the next transaction; resolves with its result once that is on disk. */
  write<T>(operation: (transaction: Transaction) => T, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (transaction: Transaction): (() => void) => {
        const result = operation(transaction);
        return () => resolve(result);
      };
      this.#queue.push({ run, reject, signal });
      this.#schedule();
    });
  }

  /** Resolves when everything handed over so far is settled. */
  async drained(): Promise<void> {
    while (this.#queue.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (!this.#begin()) return;
    const transaction = new Transaction(this.#tables, this.#clock.now());
    const taken: Pending[] = [];
    let settle: readonly (() => void)[];
    try {
      settle = this.#runBatch(transaction, taken);
      if (transaction.isChanged) this.#place.check();
      this.#tables.connection.run(transaction.isChanged ? 'COMMIT' : 'ROLLBACK');
    } catch (thrown) {
      this.#giveUp(taken, thrown);
      return;
    }
    this.#onCommit(transaction);
    for (const done of settle) done();
    this.#next();
  }

  /** Takes the write lock. When another process has it, tries again soon: the timer keeps the process alive. */
  #begin(): boolean {
    try {
      this.#tables.connection.run('BEGIN IMMEDIATE');
      this.#busySince = undefined;
      return true;
    } catch (thrown) {
      const now = performance.now();
      this.#busySince ??= now;
      if (isBusy(thrown) && now - this.#busySince < patienceMs) {
        this.#scheduled = true;
        setTimeout(() => this.#flush(), 2 + Math.random() * 8);
      } else {
        this.#busySince = undefined;
        this.#giveUp(this.#queue.splice(0), thrown);
      }
      return false;
    }
  }

  /** Runs operations for a slice of time; returns what settles them after the commit. `taken` is filled on the way. */
  #runBatch(transaction: Transaction, taken: Pending[]): (() => void)[] {
    const end = performance.now() + sliceMs;
    const settle: (() => void)[] = [];
    try {
      for (const pending of this.#queue) {
        taken.push(pending);
        settle.push(this.#runOne(transaction, pending));
        if (performance.now() > end) break;
      }
    } finally {
      this.#queue.splice(0, taken.length);
    }
    return settle;
  }

  /** A refusal is told after the commit too: what it rests on may have been written in this very transaction. */
  #runOne(transaction: Transaction, pending: Pending): () => void {
    const { signal } = pending;
    if (signal?.aborted) return () => pending.reject(toError(signal.reason));
    const written = transaction.revisions.length;
    try {
      return pending.run(transaction);
    } catch (thrown) {
      const isOwn = thrown instanceof DamagedRowError || !isSqliteError(thrown);
      if (!isOwn || transaction.revisions.length > written) throw thrown;
      return () => pending.reject(toStoreError(thrown, this.#tables.connection.path));
    }
  }

  #giveUp(batch: readonly Pending[], thrown: unknown): void {
    const { connection } = this.#tables;
    try {
      connection.rollback();
    } catch {
      // What made the transaction fail is what people should hear of; the next BEGIN says if this lasts.
    }
    const error = toStoreError(thrown, connection.path);
    this.#onFailure(error);
    for (const pending of batch) pending.reject(error);
    this.#next();
  }

  #next(): void {
    if (this.#queue.length > 0) {
      this.#schedule();
      return;
    }
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
