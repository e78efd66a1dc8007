/**
 * What is known of one engine from outside. Times are monotonic milliseconds of the torture's process, as are those of
 * the ledger.
 */
export interface EngineLife {
  /** Which of all engines it was: 1, 2, … */
  readonly number: number;
  /** When it said that it works on a shard from now on. */
  readonly takes: readonly { readonly shard: number; readonly at: number }[];
  /** When it stood still. */
  readonly frozen: readonly { readonly from: number; readonly to: number }[];
}
