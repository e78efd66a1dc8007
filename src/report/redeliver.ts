import { randomBytes } from 'node:crypto';
import type { Delivery } from '../api/delivery.ts';
import type { TerminalPhase } from '../api/hook.ts';
import {
  deliveryHookLabel,
  deliveryTaskLabel,
  onCompletionAnnotation,
  redeliverAnnotation,
  reportedRunAnnotation,
} from '../api/names.ts';
import { type Task, terminalPhase } from '../api/task.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { TelosError } from '../base/errors.ts';
import { isStoreError } from '../store/errors.ts';
import { type Key, keyOf, type ResourceStore } from '../store/store.ts';
import { draftDelivery } from './delivery-draft.ts';
import { parseHooks } from './hooks-annotation.ts';
import { payloadOf } from './payload.ts';
import { deliveryId, deliveryName, isSameRun, parseRun, type Run, runOf } from './run-id.ts';

/** There is nothing to replay. */
export class ReplayError extends TelosError {
  constructor(message: string) {
    super('Replay', message);
  }
}

/** A Delivery that will be sent (again), and whether it is new. */
export interface Redelivered {
  readonly key: Key;
  readonly hook: string;
  readonly outcome: 'redelivered' | 'created';
}

/**
 * Asks for a fresh schedule with the same webhook-id, whatever the Delivery's phase. An ordinary change: the
 * engine acts on it when it runs.
 * @throws StoreError NotFound
 */
export async function redeliver(
  store: ResourceStore,
  key: Key,
  clock: Clock = systemClock,
): Promise<Redelivered> {
  const request = requestAt(clock);
  const delivery = await store.patch('Delivery', key, {
    metadata: { annotations: { [redeliverAnnotation]: request } },
  });
  return { key, hook: delivery.spec.hook.name, outcome: 'redelivered' };
}

export interface RecoverOptions {
  /** Only this namespace; absent: all. */
  readonly namespace?: string | undefined;
  /** Only those that failed within the last so many milliseconds. */
  readonly sinceMs: number;
  /** Only those of hooks of this name. */
  readonly hook?: string | undefined;
}

/** Redelivers all Deliveries that failed lately. */
export async function recover(
  store: ResourceStore,
  options: RecoverOptions,
  clock: Clock = systemClock,
): Promise<Redelivered[]> {
  const { namespace, sinceMs, hook } = options;
  const since = clock.now() - sinceMs;
  const labelSelector = hook === undefined ? undefined : `${deliveryHookLabel}=${hook}`;
  const failed = await listDeliveries(store, { namespace, labelSelector }, (delivery) => {
    const { phase, settledAt } = delivery.status ?? {};
    return phase === 'Failed' && Date.parse(settledAt ?? '') >= since;
  });
  return redeliverAll(store, failed, clock);
}

/**
 * Tells all hooks of a Task once more, also those that its phase or filter left out. A Task that is gone is
 * replayed from the Deliveries that are kept.
 * @throws ReplayError when it has not ended or has no hooks
 */
export async function replay(
  store: ResourceStore,
  taskKey: Key,
  clock: Clock = systemClock,
): Promise<Redelivered[]> {
  const task = await getTask(store, taskKey);
  if (task === undefined) return replayKept(store, taskKey, clock);
  const phase = terminalPhase(task);
  const annotation = task.metadata.annotations?.[onCompletionAnnotation];
  if (phase === undefined)
    throw new ReplayError(
      `Task ${taskKey.name} has not ended (${task.status?.phase ?? 'Pending'}); wait for it`,
    );
  if (annotation === undefined)
    throw new ReplayError(
      `Task ${taskKey.name} has no hooks: annotation ${onCompletionAnnotation} is not there`,
    );
  const { hooks, invalid } = parseHooks(annotation);
  const [wrong] = invalid;
  if (hooks.length === 0 && wrong !== undefined)
    throw new ReplayError(
      `Task ${taskKey.name} has no hook that can be told: annotation ${onCompletionAnnotation}: ${wrong.message}`,
    );
  const run = recordedRun(task, phase);
  const payload = payloadOf(task, phase);
  return Promise.all(
    hooks.map(async (hook) => {
      const draft = draftDelivery(task, run, hook, payload, { [redeliverAnnotation]: requestAt(clock) });
      const key = { namespace: taskKey.namespace, name: deliveryName(deliveryId(run, hook.name)) };
      try {
        await store.create<'Delivery'>(draft);
        return { key, hook: hook.name, outcome: 'created' };
      } catch (error) {
        if (isStoreError(error, 'AlreadyExists')) return redeliver(store, key, clock);
        throw error;
      }
    }),
  );
}

/** The run as it was recorded, whose Deliveries are there: its completionTime may have been rewritten since. */
function recordedRun(task: Task, phase: TerminalPhase): Run {
  const run = runOf(task, phase);
  const text = task.metadata.annotations?.[reportedRunAnnotation];
  const recorded = text === undefined ? undefined : parseRun(text);
  return recorded !== undefined && isSameRun(recorded, run) ? recorded : run;
}

async function replayKept(
  store: ResourceStore,
  { namespace, name }: Key,
  clock: Clock,
): Promise<Redelivered[]> {
  const labelSelector = name.length <= 63 ? `${deliveryTaskLabel}=${name}` : undefined;
  const kept = await listDeliveries(
    store,
    { namespace, labelSelector },
    (delivery) => delivery.spec.task.name === name,
  );
  if (kept.length === 0)
    throw new ReplayError(`there is no Task ${name} in namespace ${namespace}, and no Delivery of one`);
  return redeliverAll(store, kept, clock);
}

/** How many are asked for side by side: there may be very many, and others use the store too. */
const sideBySide = 64;

async function redeliverAll(
  store: ResourceStore,
  deliveries: readonly Delivery[],
  clock: Clock,
): Promise<Redelivered[]> {
  const done: Redelivered[] = [];
  for (let first = 0; first < deliveries.length; first += sideBySide) {
    const some = deliveries.slice(first, first + sideBySide);
    const outcomes = await Promise.all(some.map((delivery) => redeliverKept(store, delivery, clock)));
    done.push(...outcomes.filter((outcome) => outcome !== undefined));
  }
  return done;
}

/** One that is no longer kept keeps the others from nothing. */
async function redeliverKept(
  store: ResourceStore,
  delivery: Delivery,
  clock: Clock,
): Promise<Redelivered | undefined> {
  try {
    return await redeliver(store, keyOf(delivery), clock);
  } catch (error) {
    if (isStoreError(error, 'NotFound')) return undefined;
    throw error;
  }
}

async function getTask(store: ResourceStore, key: Key): Promise<Task | undefined> {
  try {
    return await store.get('Task', key);
  } catch (error) {
    if (isStoreError(error, 'NotFound')) return undefined;
    throw error;
  }
}

async function listDeliveries(
  store: ResourceStore,
  where: { readonly namespace: string | undefined; readonly labelSelector: string | undefined },
  wanted: (delivery: Delivery) => boolean,
): Promise<Delivery[]> {
  const found: Delivery[] = [];
  let token: string | undefined;
  do {
    const page = await store.list('Delivery', { ...where, limit: 500, continue: token });
    found.push(...page.items.filter(wanted));
    token = page.continue;
  } while (token !== undefined);
  return found;
}

/** A value that no earlier request had. */
function requestAt(clock: Clock): string {
  return `${new Date(clock.now()).toISOString()}-${randomBytes(3).toString('hex')}`;
}
