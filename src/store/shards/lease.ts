import type { CallOptions } from '../store.ts';

/** One Lease, as it was read: who holds something, and proof that the holder lives. */
export interface Lease {
  readonly name: string;
  /** Undefined: nobody. */
  readonly holder: string | undefined;
  /** How long others must see it unchanged before they may take it, in milliseconds. */
  readonly durationMs: number;
  /** How often it went from one holder to another. */
  readonly transitions: number;
  /** In how many shards the work is divided; on the Lease that records it. */
  readonly shards?: number | undefined;
  /** Another one after each write; what a write that replaces it must name. */
  readonly version: string;
}

/** How long a Lease says that it lasts when its holder has let it go, in milliseconds. */
export const letGoMs = 1_000;

/** Whether its holder has let it go, with nothing under way. One that somebody else emptied says otherwise. */
export function isLetGo({ holder, durationMs }: Lease): boolean {
  return holder === undefined && durationMs <= letGoMs;
}

/** A Lease that is to be written. */
export type LeaseDraft = Omit<Lease, 'version'>;

/**
 * Where the Leases of one installation are. Every write is compare-and-swap. Errors are StoreError: `AlreadyExists`,
 * `Conflict` (there is a newer version), `NotFound`, `Unavailable`.
 */
export interface LeaseBook {
  list(options: CallOptions): Promise<readonly Lease[]>;
  /** Undefined when there is none of that name. */
  get(name: string, options: CallOptions): Promise<Lease | undefined>;
  create(draft: LeaseDraft, options: CallOptions): Promise<Lease>;
  /** Replaces that version and no other; one that was deleted may be made anew. */
  replace(lease: Lease, options: CallOptions): Promise<Lease>;
  /** Removes it; one that is gone is fine. */
  remove(name: string, options: CallOptions): Promise<void>;
}

/** How Leases are held, in milliseconds; `leaseTiming` derives all from the first. */
export interface LeaseTiming {
  /** Others take a Lease that they saw unchanged for so long. */
  readonly durationMs: number;
  /** The holder stops so long after it began its last renewal: well before anybody may take it. */
  readonly termMs: number;
  readonly renewMs: number;
  /** Between two looks at all Leases. */
  readonly pollMs: number;
  /** The longest that one call may take. */
  readonly callMs: number;
  /** How long work under way may go on when a shard is handed over as planned. */
  readonly drainMs: number;
}

/** What goes with a lease duration. The holder keeps 3/10 of it as the margin in which nothing of its work may be left. */
export function leaseTiming(durationMs: number): LeaseTiming {
  return {
    durationMs,
    termMs: durationMs * 0.7,
    renewMs: durationMs / 5,
    pollMs: durationMs / 20,
    callMs: durationMs / 5,
    drainMs: Math.min(750, durationMs / 10),
  };
}
