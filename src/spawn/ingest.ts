import { secretValue } from '../api/secret.ts';
import type { GenericWebhook, TaskSpawner } from '../api/task-spawner.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isStoreError, StoreError } from '../store/errors.ts';
import { keyOf, keyText, type ResourceStore } from '../store/store.ts';
import { parseJsonBody } from './json-body.ts';
import { signatureFault } from './signature.ts';
import type { EventSource } from './source.ts';
import type { Planned, SpawnerPlan } from './spawner-plan.ts';
import type { Made } from './task-maker.ts';
import type { WorkItem } from './work-item.ts';

/** One request to `/webhook/SOURCE`. */
export interface InboundEvent {
  readonly source: string;
  readonly headers: Headers;
  /** The raw bytes: signatures are over these. */
  readonly body: Uint8Array;
}

/** What one TaskSpawner (`namespace/name`) made of an event. `task` is a name in the same namespace. */
interface IngestResult {
  readonly taskspawner: string;
  readonly task?: string;
  readonly outcome: 'created' | 'duplicate' | 'filtered' | 'suspended' | 'exhausted' | 'failed';
  readonly reason?: string;
}

/**
 * What the sender is told. 202: at least one Task is stored, now or by an earlier delivery. 200: understood,
 * and rightly no Task. 503: send it again, nothing is made twice. Others: sending it again is useless.
 */
export interface IngestAnswer {
  readonly status: 200 | 202 | 400 | 401 | 404 | 422 | 500 | 503;
  readonly body: { readonly results?: readonly IngestResult[]; readonly error?: string };
}

export interface IngestDeps {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** The TaskSpawners of every namespace that listen to a source. */
  readonly listeners: (source: string) => Iterable<TaskSpawner>;
  readonly planOf: (spawner: TaskSpawner) => Planned;
  /** Makes the Task and tells whoever counts. */
  readonly make: (
    spawner: TaskSpawner,
    plan: SpawnerPlan,
    item: WorkItem,
    signal: AbortSignal,
  ) => Promise<Made>;
  /** An event was lost to something that the owner of the TaskSpawner has to put right. */
  readonly onTrouble: (spawner: TaskSpawner, reason: string, message: string) => void;
  readonly onOutcome: (source: string, outcome: string) => void;
}

/** A result, and whether the sender should try again for its sake. */
interface Offered {
  readonly result: IngestResult;
  readonly fault?: 'signature' | 'store' | 'internal';
}

/** Offers an event to every TaskSpawner of its source. Never throws; a signal that aborts makes it answer 503. */
export async function ingestEvent(
  deps: IngestDeps,
  event: InboundEvent,
  signal: AbortSignal,
): Promise<IngestAnswer> {
  const spawners = [...deps.listeners(event.source)]
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .sort((a, b) => (keyText(keyOf(a)) < keyText(keyOf(b)) ? -1 : 1));
  if (spawners.length === 0) {
    deps.onOutcome('unknown', 'unknown');
    return refusal(404, `no TaskSpawner has spec.when.webhook.source ${JSON.stringify(event.source)}`);
  }
  const checked = await Promise.all(spawners.map((spawner) => checkSignature(deps, spawner, event)));
  const refused = checked.filter((check) => check !== undefined);
  const accepted = spawners.filter((_, index) => checked[index] === undefined);
  if (accepted.length === 0) {
    for (const { result } of refused) deps.onOutcome(event.source, result.outcome);
    return signatureAnswer(refused);
  }
  const parsed = parseJsonBody(event.body);
  if (!parsed.ok) {
    deps.onOutcome(event.source, 'malformed');
    return refusal(400, parsed.error);
  }
  const offered = await Promise.all(
    accepted.map((spawner) => offer(deps, spawner, { payload: parsed.value, body: event.body }, signal)),
  );
  for (const { result } of [...offered, ...refused]) deps.onOutcome(event.source, result.outcome);
  // Names of TaskSpawners whose signature is missing are not for this sender; their trouble is.
  return answer(offered, refused);
}

/** Undefined: this TaskSpawner takes the event as genuine. */
async function checkSignature(
  deps: IngestDeps,
  spawner: TaskSpawner,
  event: InboundEvent,
): Promise<Offered | undefined> {
  const secretRef = spawner.spec.when.webhook?.secretRef;
  if (secretRef === undefined) return undefined;
  try {
    const secret = await readSecret(deps.store, spawner.metadata.namespace, secretRef);
    if (secret === undefined) {
      const message = `spec.when.webhook.secretRef: Secret ${secretRef.name} has no key ${secretRef.key}; create it, then have the event sent again`;
      deps.onTrouble(spawner, 'SecretNotFound', message);
      return failed(spawner, 'the signature cannot be checked', 'signature');
    }
    const fault = signatureFault({
      headers: event.headers,
      body: event.body,
      secret,
      nowMs: deps.clock.now(),
    });
    return fault === undefined ? undefined : failed(spawner, fault, 'signature');
  } catch (thrown) {
    return failedBy(deps, spawner, thrown, false);
  }
}

async function readSecret(
  store: ResourceStore,
  namespace: string,
  { name, key }: NonNullable<GenericWebhook['secretRef']>,
): Promise<string | undefined> {
  try {
    return secretValue(await store.get('Secret', { namespace, name }), key);
  } catch (thrown) {
    if (isStoreError(thrown, 'NotFound')) return undefined;
    throw thrown;
  }
}

async function offer(
  deps: IngestDeps,
  spawner: TaskSpawner,
  event: Parameters<EventSource['read']>[0],
  signal: AbortSignal,
): Promise<Offered> {
  const taskspawner = keyText(keyOf(spawner));
  if (spawner.spec.suspend === true)
    return { result: { taskspawner, outcome: 'suspended', reason: 'spec.suspend is true' } };
  try {
    const planned = deps.planOf(spawner);
    if (!planned.ok) {
      deps.onTrouble(spawner, planned.code, planned.message);
      return failed(spawner, planned.message);
    }
    const { source } = planned.plan;
    if (source.kind !== 'event') return failed(spawner, 'this TaskSpawner takes no events');
    const reading = source.read(event);
    if (reading.outcome === 'failed') deps.onTrouble(spawner, 'TaskCreationFailed', reading.reason);
    if (reading.outcome !== 'item') return { result: { taskspawner, ...reading } };
    const made = await deps.make(spawner, planned.plan, reading.item, signal);
    return { result: { taskspawner, ...made } };
  } catch (thrown) {
    return failedBy(deps, spawner, thrown, signal.aborted);
  }
}

function failed(spawner: TaskSpawner, reason: string, fault?: Offered['fault']): Offered {
  const result: IngestResult = { taskspawner: keyText(keyOf(spawner)), outcome: 'failed', reason };
  return fault === undefined ? { result } : { result, fault };
}

function failedBy(deps: IngestDeps, spawner: TaskSpawner, thrown: unknown, givenUp: boolean): Offered {
  const error = toError(thrown);
  deps.log.error('an event was not taken', { taskspawner: keyText(keyOf(spawner)), error: error.message });
  return givenUp || error instanceof StoreError
    ? failed(spawner, 'the event could not be stored now; send it again', 'store')
    : failed(spawner, 'internal error; see the log', 'internal');
}

function signatureAnswer(refused: readonly Offered[]): IngestAnswer {
  const store = refused.find(({ fault }) => fault !== 'signature');
  if (store !== undefined) return refusal(503, store.result.reason ?? '');
  // Names of TaskSpawners are not for those who cannot sign.
  const reasons = new Set(refused.map(({ result }) => result.reason ?? ''));
  return refusal(401, [...reasons].join('; '));
}

/** The worst that sending again can put right decides; then the best that came of it. */
function answer(offered: readonly Offered[], refused: readonly Offered[]): IngestAnswer {
  const results = offered.map(({ result }) => result);
  const faults = new Set([...offered, ...refused].map(({ fault }) => fault));
  const has = (outcome: IngestResult['outcome']): boolean =>
    results.some((result) => result.outcome === outcome);
  const status = faults.has('store')
    ? 503
    : faults.has('internal')
      ? 500
      : has('created') || has('duplicate')
        ? 202
        : has('failed')
          ? 422
          : 200;
  return { status, body: { results } };
}

function refusal(status: IngestAnswer['status'], error: string): IngestAnswer {
  return { status, body: { error } };
}
