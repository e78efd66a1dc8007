import type { Delivery, DeliveryReason } from '../api/delivery.ts';
import type { LogFields } from '../base/log.ts';
import type { RoomDeps } from '../store/room.ts';
import type { StatusPatch } from './decide-delivery.ts';
import { laneOf, urlSecretOf } from './lane.ts';

/** Reasons that stay until somebody changes a Secret. */
const mendedByPeople: ReadonlySet<DeliveryReason> = new Set([
  'SecretNotFound',
  'SecretNotAllowed',
  'InvalidHeader',
]);

type NewsDeps = Pick<RoomDeps, 'log' | 'events'>;

/**
 * Says in the log, and by an Event of its Task where a person has to act, what a status that was just written means:
 * a first attempt that failed, or the end. What no waiting mends is said at once: 28 hours later is too late to hear
 * of a missing Secret. `origin`: where the attempt went, if there was one and that is known.
 */
export function sayDeliveryNews(
  delivery: Delivery,
  origin: string | undefined,
  status: StatusPatch,
  deps: NewsDeps,
): void {
  if (status.phase === 'Pending') return;
  if (status.phase === 'Retrying') sayIfFirst(delivery, origin, status, deps);
  else saySettled(delivery, origin, status, deps);
}

function sayIfFirst(
  delivery: Delivery,
  origin: string | undefined,
  status: StatusPatch,
  deps: NewsDeps,
): void {
  const { reason, message, attemptCount, nextAttemptAt } = status;
  if (attemptCount !== 1 || !reason) return;
  deps.log.info('a first attempt failed; it will be tried again', {
    ...fieldsOf(delivery, origin),
    reason,
    error: message,
    nextAttemptAt,
  });
  if (mendedByPeople.has(reason)) sayDeliveryWaits(delivery, `${reason}: ${message}`, deps);
}

/** Says by an Event of the Task that a person has to do something before a hook can be told. */
export function sayDeliveryWaits(delivery: Delivery, why: string, deps: Pick<NewsDeps, 'events'>): void {
  warn(delivery, 'DeliveryWaits', `hook ${delivery.spec.hook.name} cannot be told yet: ${why}`, deps);
}

function saySettled(
  delivery: Delivery,
  origin: string | undefined,
  { phase, reason, message }: StatusPatch,
  deps: NewsDeps,
): void {
  const fields = { ...fieldsOf(delivery, origin), reason };
  if (phase !== 'Failed') {
    deps.log.debug('a Delivery is settled', { ...fields, phase });
    return;
  }
  deps.log.warn('a Delivery failed', { ...fields, error: message });
  const { hook } = delivery.spec;
  warn(delivery, 'DeliveryFailed', `hook ${hook.name} was not told: ${reason}: ${message}`, deps);
}

function warn(
  { metadata, spec }: Delivery,
  reason: string,
  message: string,
  { events }: Pick<NewsDeps, 'events'>,
): void {
  const { name, uid } = spec.task;
  events.record({ kind: 'Task', namespace: metadata.namespace, name, uid }, 'Warning', reason, message);
}

/**
 * What a log line says of a Delivery: names and the origin, never a path. Where a URL in a Secret leads is known only
 * once there was an attempt; without one the line says where it stands.
 */
export function fieldsOf(delivery: Delivery, origin?: string): LogFields {
  const { metadata, spec } = delivery;
  const secret = origin === undefined ? urlSecretOf(delivery) : undefined;
  return {
    delivery: metadata.name,
    namespace: metadata.namespace,
    task: spec.task.name,
    hook: spec.hook.name,
    ...(secret === undefined
      ? { origin: origin ?? laneOf(delivery) }
      : { urlFrom: `${secret.name}/${secret.key}` }),
  };
}
