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
  readonly onError: () => void;
}

const firstBackoffMs = 100;
const maxBackoffMs = 5_000;

/**
 * Writes what came of an attempt. The attempt has happened, so it is written until it is: only then may the
 * Delivery be looked at again. Gives up when the signal aborts; then the next start sends the same message with
 * the same webhook-id once more. Undefined when it gave up or the Delivery is gone.
 */
export async function writeStatus(
  delivery: Pick<Delivery, 'metadata'>,
  status: StatusPatch,
  deps: StatusWriterDeps,
  signal: AbortSignal,
): Promise<Delivery | undefined> {
  const key = keyOf(delivery);
  // Names are derived: one that was removed and made anew is another Delivery, which was not sent.
  const metadata = { uid: delivery.metadata.uid };
  let patch = status;
  for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
    try {
      return await deps.store.patch('Delivery', key, { metadata, status: patch }, { subresource: 'status' });
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      if (isStoreError(thrown, 'Conflict') && (await isAnother(delivery, deps))) return undefined;
      deps.onError();
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

/** Whether what has the name now is another Delivery. An API server also says Conflict when it is merely busy. */
async function isAnother({ metadata }: Pick<Delivery, 'metadata'>, deps: StatusWriterDeps): Promise<boolean> {
  try {
    return (await deps.store.get('Delivery', metadata)).metadata.uid !== metadata.uid;
  } catch (thrown) {
    return isStoreError(thrown, 'NotFound');
  }
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
