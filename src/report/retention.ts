import type { Delivery } from '../api/delivery.ts';
import { isSettled } from '../api/delivery.ts';
import { sleep } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { isStoreError } from '../store/errors.ts';
import { everyPage } from '../store/every-page.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyOf } from '../store/store.ts';

const dayMs = 24 * 3_600_000;

/** How long settled Deliveries are kept, in milliseconds. */
export interface Retention {
  /** Delivered and Skipped ones. */
  readonly settled: number;
  readonly failed: number;
}

export const defaultRetention: Retention = { settled: 7 * dayMs, failed: 30 * dayMs };

/** Keeps settled ones for so long, and failed ones, which somebody has yet to look at, four times as long. */
export function retentionOf(settled: number): Retention {
  return { settled, failed: 4 * settled };
}

/** The first sweep leaves a start in peace. */
const firstSweepMs = 60_000;
const longestPauseMs = 3_600_000;
const shortestPauseMs = 60_000;
/** A clock that was set must have been steady for so long before anything is removed on its word. */
const steadyMs = 600_000;
/** Wall time and real time may differ by so much from one look to the next. */
const driftMs = 60_000;
const pageSize = 200;

type SweepDeps = Pick<RoomDeps, 'store' | 'namespaces' | 'clock' | 'log'>;

/**
 * Removes settled Deliveries when their time is over, once an hour, or four times in the time that they are kept if
 * that is more often, until the signal aborts. A clock that is
 * ten years ahead for a moment would have all of them removed: so not when it was set since the last look.
 */
export async function sweepDeliveries(
  deps: SweepDeps,
  retention: Retention,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = deps;
  const wallOffset = (): number => clock.now() - clock.monotonic();
  let offset = wallOffset();
  const pauseMs = Math.min(longestPauseMs, Math.max(shortestPauseMs, retention.settled / 4));
  let waitMs = firstSweepMs;
  for (;;) {
    try {
      await sleep(waitMs, signal, clock);
      const wasSet = Math.abs(wallOffset() - offset) > driftMs;
      offset = wallOffset();
      waitMs = wasSet ? steadyMs : pauseMs;
      if (wasSet) {
        deps.log.info('the clock was set: old Deliveries are kept until it has been steady for a while');
        continue;
      }
      const removed = await sweep(deps, retention, signal);
      if (removed > 0) deps.log.info('old Deliveries were removed', { removed });
    } catch (thrown) {
      if (signal.aborted) return;
      deps.log.warn('removing old Deliveries will be tried again', { error: toError(thrown).message });
    }
  }
}

async function sweep(deps: SweepDeps, retention: Retention, signal: AbortSignal): Promise<number> {
  const { store, namespaces, clock } = deps;
  const nowMs = clock.now();
  let removed = 0;
  for await (const page of everyPage(store, 'Delivery', { namespaces, limit: pageSize, signal })) {
    const old = page.filter((delivery) => isOver(delivery, nowMs, retention));
    const outcomes = await Promise.all(old.map((delivery) => remove(deps, delivery)));
    removed += outcomes.filter(Boolean).length;
  }
  return removed;
}

/** Whether a Delivery has been kept long enough. */
export function isOver(delivery: Delivery, nowMs: number, retention: Retention): boolean {
  if (!isSettled(delivery)) return false;
  const keptMs = delivery.status?.phase === 'Failed' ? retention.failed : retention.settled;
  return nowMs - lastChangedMs(delivery) > keptMs;
}

/**
 * When it was settled, or made. A person who settles one by hand need not know of settledAt, or how it is written;
 * a time before its creation is that of a clock that was behind.
 */
function lastChangedMs({ metadata, status }: Delivery): number {
  const createdMs = Date.parse(metadata.creationTimestamp);
  const settledMs = Date.parse(status?.settledAt ?? '');
  return Number.isNaN(settledMs) ? createdMs : Math.max(settledMs, createdMs);
}

/** Removes the version that was seen: one that was redelivered meanwhile stays. */
async function remove(deps: SweepDeps, delivery: Delivery): Promise<boolean> {
  const { uid, resourceVersion } = delivery.metadata;
  try {
    await deps.store.delete('Delivery', keyOf(delivery), { uid, resourceVersion });
    return true;
  } catch (error) {
    if (isStoreError(error, 'NotFound') || isStoreError(error, 'Conflict')) return false;
    throw error;
  }
}
