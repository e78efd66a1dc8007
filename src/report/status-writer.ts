import type { Delivery } from '../api/delivery.ts';
import { sleep } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { rfc3339 } from '../base/text.ts';
import { isStoreError, retryLogLevel } from '../store/errors.ts';
import { keyOf, keyText, type ResourceStore } from '../store/store.ts';
import type { StatusPatch } from './decide-delivery.ts';

export interface StatusWriterDeps {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether another replica may have taken over: then only the attempt that was judged may be written. */
  readonly isFenced: boolean;
  /** Told of each failure; it is tried again. */
  readonly onError: (error: unknown) => void;
}

const firstBackoffMs = 100;
const maxBackoffMs = 5_000;

/**
 * Writes what came of an attempt. The attempt has happened, so it is written until it is: only then may the
 * Delivery be looked at again. Gives up when the signal aborts; then the next start sends the same message with
 * the same webhook-id once more. Undefined when it gave up or the Delivery is gone.
 */
export async function writeStatus(
  delivery: Pick<Delivery, 'metadata' | 'status'>,
  status: StatusPatch,
  deps: StatusWriterDeps,
  signal: AbortSignal,
): Promise<Delivery | undefined> {
  const key = keyOf(delivery);
  // Names are derived: one that was removed and made anew is another Delivery, which was not sent.
  const { uid, resourceVersion } = delivery.metadata;
  let metadata: { uid: string; resourceVersion?: string } = deps.isFenced
    ? { uid, resourceVersion }
    : { uid };
  let patch = status;
  for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
    try {
      return await deps.store.patch('Delivery', key, { metadata, status: patch }, { subresource: 'status' });
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      if (isStoreError(thrown, 'Conflict')) {
        const now = await present(delivery, deps);
        if (now.is === 'another') return undefined;
        if (deps.isFenced && now.is === 'same') {
          if (isWritten(patch, now.delivery)) return now.delivery;
          if (!isUnsent(delivery, now.delivery)) return undefined;
          const isNewer = now.delivery.metadata.resourceVersion !== metadata.resourceVersion;
          metadata = { uid, resourceVersion: now.delivery.metadata.resourceVersion };
          // A person annotated it, say: no trouble of the store.
          if (isNewer && !signal.aborted) continue;
        }
      }
      deps.onError(thrown);
      deps.log[retryLogLevel(thrown)]('the status of a Delivery is written again', {
        delivery: keyText(key),
        error: toError(thrown).message,
      });
      // A status that the store refuses would be refused again, and the message sent for ever.
      if (isStoreError(thrown, 'Invalid')) patch = internalFailure(status, deps.clock.now());
      const waited = await sleep(backoffMs, signal, deps.clock).then(
        () => true,
        () => false,
      );
      if (!waited) return undefined;
    }
  }
}

type Present =
  | { readonly is: 'same'; readonly delivery: Delivery }
  | { readonly is: 'another' }
  | { readonly is: 'unknown' };

/** What has the name now. An API server also says Conflict when it is merely busy. */
async function present(
  { metadata }: Pick<Delivery, 'metadata'>,
  { store }: Pick<StatusWriterDeps, 'store'>,
): Promise<Present> {
  try {
    const delivery = await store.get('Delivery', metadata);
    return delivery.metadata.uid === metadata.uid ? { is: 'same', delivery } : { is: 'another' };
  } catch (thrown) {
    return { is: isStoreError(thrown, 'NotFound') ? 'another' : 'unknown' };
  }
}

/** Whether it is there already: the answer to the write that did it was lost. */
function isWritten(patch: StatusPatch, { status }: Delivery): boolean {
  const [ours, last] = [patch.attempts?.at(-1), status?.attempts?.at(-1)];
  if (ours !== undefined) return ours.number === last?.number && ours.at === last.at;
  return patch.phase === status?.phase && patch.settledAt === status.settledAt;
}

/** Whether nobody has written an attempt since: then what came of ours is still news. */
function isUnsent(before: Pick<Delivery, 'status'>, now: Delivery): boolean {
  return (
    before.status?.attemptCount === now.status?.attemptCount && before.status?.phase === now.status?.phase
  );
}

/** What was asked for is done even so, or it would be done again and again. */
function internalFailure({ attemptCount, redelivered }: StatusPatch, nowMs: number): StatusPatch {
  return {
    ...(attemptCount === undefined ? {} : { attemptCount }),
    ...(redelivered === undefined ? {} : { redelivered }),
    phase: 'Failed',
    reason: 'Internal',
    message: 'the store refused the status of this Delivery; see the log of the engine',
    settledAt: rfc3339(nowMs),
    nextAttemptAt: null,
  };
}
