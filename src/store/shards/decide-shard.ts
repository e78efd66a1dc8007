import { isLetGo, type Lease } from './lease.ts';

/** What a replica knows of one shard. */
export interface ShardView {
  readonly self: string;
  /** Who should hold it. */
  readonly desired: string | undefined;
  /** Whether this replica works on it. */
  readonly isMine: boolean;
  /** Its Lease; undefined when there is none. */
  readonly lease: Lease | undefined;
  /** For how long we have seen the Lease unchanged, or missing, by our own monotonic clock. */
  readonly unchangedMs: number;
  /** How long a Lease lasts, as this replica was told. */
  readonly durationMs: number;
}

/** `leave`: drain, then let go. */
export type ShardStep = 'keep' | 'leave' | 'take' | 'wait';

/**
 * What to do about a shard. No clock but our own is looked at. A Lease that somebody deleted or emptied may have a
 * holder who does not know yet: only one that was let go is taken at once.
 */
export function decideShard(view: ShardView): ShardStep {
  const { self, desired, isMine, lease } = view;
  if (isMine) return desired === self ? 'keep' : 'leave';
  if (desired !== self) return 'wait';
  if (lease !== undefined && (isLetGo(lease) || lease.holder === self)) return 'take';
  return view.unchangedMs >= Math.max(lease?.durationMs ?? 0, view.durationMs) ? 'take' : 'wait';
}
