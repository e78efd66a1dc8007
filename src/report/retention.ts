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

/** The first sweep leaves a start in peace. */
const firstSweepMs = 60_000;
const sweepEveryMs = 3_600_000;
/** A clock that was set must have been steady for so long before anything is removed on its word. */
const steadyMs = 600_000;
/**
 * While an engine runs, nothing stays for much longer than its time. What was over long ago shows that no engine ran,
 * or that the clock is far ahead, which nothing in the store could tell apart: it waits until the clock has been
 * steady for so long that somebody would have seen it.
 */
const longOverMs = dayMs;
const longSteadyMs = 6 * 3_600_000;
/** Wall time and real time may differ by so much from one look to the next. */
const driftMs = 60_000;
const pageSize = 200;

type SweepDeps = Pick<RoomDeps, 'store' | 'namespaces' | 'access' | 'clock' | 'log'>;

/**
 * Removes settled Deliveries when their time is over, once an hour, until the signal aborts. A clock that is
 * ten years ahead would have all of them removed: so not when it was set since the last look, and what was over long
 * ago only once it has been steady for hours.
 */
export async function sweepDeliveries(
  deps: SweepDeps,
  retention: Retention,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = deps;
  const wallOffset = (): number => clock.now() - clock.monotonic();
  let offset = wallOffset();
  let waitMs = firstSweepMs;
  /** Monotonic: when the clock was set last, as far as is known. */
  let steadySince = clock.monotonic();
  for (;;) {
    try {
      await sleep(waitMs, signal, clock);
      const wasSet = Math.abs(wallOffset() - offset) > driftMs;
      offset = wallOffset();
      waitMs = wasSet ? steadyMs : sweepEveryMs;
      if (wasSet) {
        steadySince = clock.monotonic();
        deps.log.info('the clock was set: old Deliveries are kept until it has been steady for a while');
        continue;
      }
      const isLongSteady = clock.monotonic() - steadySince >= longSteadyMs;
      const { removed, putOff, failed, failure } = await sweep(deps, retention, isLongSteady, signal);
      if (removed > 0) deps.log.info('old Deliveries were removed', { removed });
      if (failed > 0) deps.log.warn(tryLater, { kept: failed, error: toError(failure).message });
      if (putOff > 0) deps.log.warn(farAhead, { kept: putOff, now: new Date(clock.now()).toISOString() });
    } catch (thrown) {
      if (signal.aborted) return;
      deps.log.warn(tryLater, { error: toError(thrown).message });
    }
  }
}

const tryLater = 'removing old Deliveries will be tried again';
const farAhead =
  'Deliveries whose time was over long ago are kept until the clock has been steady for 6 h: see that it is right';

/** What a sweep has done. */
interface Swept {
  readonly removed: number;
  /** Of which it is not sure that their time is over. */
  readonly putOff: number;
  /** How many could not be removed, and why the first: in one namespace it may be forbidden, and in the next be done. */
  readonly failed: number;
  readonly failure: unknown;
}

async function sweep(
  deps: SweepDeps,
  retention: Retention,
  isLongSteady: boolean,
  signal: AbortSignal,
): Promise<Swept> {
  const { store, namespaces, access, clock } = deps;
  const nowMs = clock.now();
  let removed = 0;
  let putOff = 0;
  let failed = 0;
  let failure: unknown;
  for await (const page of everyPage(store, 'Delivery', { namespaces, access, limit: pageSize, signal })) {
    const old = page.filter((delivery) => overForMs(delivery, nowMs, retention) > 0);
    const due = isLongSteady
      ? old
      : old.filter((delivery) => overForMs(delivery, nowMs, retention) <= longOverMs);
    const outcomes = await Promise.allSettled(due.map((delivery) => remove(deps, delivery)));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') {
        if (outcome.value) removed += 1;
        continue;
      }
      if (failed === 0) failure = outcome.reason;
      failed += 1;
    }
    putOff += old.length - due.length;
  }
  return { removed, putOff, failed, failure };
}

/** For how long the time of a Delivery has been over, in milliseconds; not above 0 while it is to be kept. */
export function overForMs(delivery: Delivery, nowMs: number, retention: Retention): number {
  if (!isSettled(delivery)) return 0;
  const keptMs = delivery.status?.phase === 'Failed' ? retention.failed : retention.settled;
  return nowMs - lastChangedMs(delivery) - keptMs;
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
