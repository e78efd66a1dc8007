import { type Delivery, isSettled } from '../src/api/delivery.ts';
import type { Hook } from '../src/api/hook.ts';
import { onCompletionFinalizer, reportedPhaseAnnotation } from '../src/api/names.ts';
import type { Task } from '../src/api/task.ts';
import type { EngineLife } from './engine-life.ts';
import { groupBy } from './group-by.ts';
import { judgeTurns } from './judge-turns.ts';
import type { Arrival } from './ledger.ts';
import type { Reason, Role } from './roles.ts';
import type { WrittenRun, WrittenTask } from './writer.ts';

/** A promise that was broken, and where. */
export interface Fault {
  readonly kind: /** Nobody was told, and the store does not say so. */
    | 'lost'
    | 'unsettled'
    /** Told twice as two messages, or twice without need. */
    | 'duplicate'
    /** Two attempts at one message under way together. */
    | 'at once'
    /** An attempt that it was not for this engine to make, or not any more. */
    | 'out of turn'
    /** Sent, and not recorded; or recorded, and never happened. */
    | 'phantom'
    /** A message that is not what it should be. */
    | 'wrong message'
    /** An outcome that this receiver cannot have caused. */
    | 'wrong outcome'
    /** A Task that was not let go. */
    | 'held';
  readonly subject: string;
  readonly message: string;
}

/** Both sides of the story, when all is over. */
export interface Evidence {
  readonly roles: Readonly<Record<string, Role>>;
  readonly written: readonly WrittenTask[];
  readonly tasks: readonly Task[];
  readonly deliveries: readonly Delivery[];
  readonly arrivals: readonly Arrival[];
  readonly engines: readonly EngineLife[];
  /** In how many shards engines divide the namespaces; undefined: there is one engine at a time. */
  readonly shards: number | undefined;
  /** What may become of an attempt, whoever receives it. */
  readonly excused: readonly Reason[];
}

/** Compares what the store says with what was written and what came to the receivers. */
export function judge(evidence: Evidence): Fault[] {
  return [
    ...judgeCompleteness(evidence),
    ...judgeDeliveries(evidence),
    ...judgeArrivals(evidence),
    ...judgeTurns(evidence),
    ...judgeTasks(evidence),
  ];
}

/** Every end of every Task has one Delivery for each hook that wants it, and there are no others. */
function judgeCompleteness({ written, deliveries }: Evidence): Fault[] {
  const faults: Fault[] = [];
  const recorded = groupBy(deliveries, ({ spec }) => runKey(spec.task.uid, spec.task, spec.hook.name));
  for (const { name, uid, hooks, runs } of written) {
    for (const run of runs) {
      for (const hook of hooks.filter((it) => wants(it, run))) {
        const key = runKey(uid, run, hook.name);
        const found = recorded.get(key) ?? [];
        recorded.delete(key);
        const subject = `Task ${name}`;
        const what = `${run.phase} at ${run.completionTime}, hook ${hook.name}`;
        if (found.length === 0 && run.certain)
          faults.push({ kind: 'lost', subject, message: `${what}: no Delivery` });
        if (found.length > 1)
          faults.push({ kind: 'duplicate', subject, message: `${what}: ${found.length} Deliveries` });
      }
    }
  }
  for (const [key, [delivery]] of recorded)
    faults.push({
      kind: 'phantom',
      subject: nameOf(delivery),
      message: `no Task ended so, or no hook of it asked: ${key}`,
    });
  return faults;
}

function judgeDeliveries({ deliveries, arrivals, roles, excused }: Evidence): Fault[] {
  const arrived = groupBy(arrivals, ({ webhookId }) => webhookId);
  return deliveries.flatMap((delivery) => {
    const role = roles[delivery.spec.hook.name];
    const subject = nameOf(delivery);
    if (role === undefined) return [{ kind: 'phantom', subject, message: 'its hook is of no role' }];
    return judgeDelivery(delivery, role, arrived.get(delivery.spec.id) ?? [], excused);
  });
}

function judgeDelivery(
  delivery: Delivery,
  role: Role,
  arrivals: readonly Arrival[],
  excused: readonly Reason[],
): Fault[] {
  const subject = `${nameOf(delivery)} (Task ${delivery.spec.task.name}, hook ${delivery.spec.hook.name})`;
  const { status = {} } = delivery;
  const { phase = 'Pending', reason, message, attempts = [], attemptCount = 0 } = status;
  if (!isSettled(delivery)) return [{ kind: 'unsettled', subject, message: `${phase}: ${message ?? ''}` }];
  const faults: Fault[] = [];
  const answeredTo = (attempt: number, is: (code: number) => boolean): boolean =>
    arrivals.some(
      (arrival) =>
        arrival.attempt === attempt && typeof arrival.answer === 'object' && is(arrival.answer.status),
    );
  const end = `${phase}/${reason}`;
  if (!role.ends.some((possible) => possible === end))
    faults.push({
      kind: 'wrong outcome',
      subject,
      message: `${end}: ${message}; its receiver makes it ${role.ends.join(' or ')}`,
    });
  if (phase === 'Delivered' && !answeredTo(attemptCount, (code) => code >= 200 && code < 300))
    faults.push({ kind: 'lost', subject, message: `Delivered, and attempt ${attemptCount} got no 2xx` });
  for (const { number, reason: why, httpStatus } of attempts) {
    if (![...role.attempts, ...excused].includes(why))
      faults.push({ kind: 'wrong outcome', subject, message: `attempt ${number} ended as ${why}` });
    if (httpStatus !== undefined && !answeredTo(number, (code) => code === httpStatus))
      faults.push({
        kind: 'wrong outcome',
        subject,
        message: `attempt ${number} was answered ${httpStatus}, says the store; not so the receiver`,
      });
  }
  // One that is skipped may have been sent by an engine that was killed before it could write so.
  const knownAttempts = phase === 'Skipped' ? attemptCount + 1 : attemptCount;
  for (const { attempt } of arrivals)
    if (attempt > knownAttempts)
      faults.push({
        kind: 'duplicate',
        subject,
        message: `attempt ${attempt} came, of which the store knows nothing`,
      });
  return faults;
}

/** Every POST is of a Delivery; all of one webhook-id are one message, and of one message there is one webhook-id. */
function judgeArrivals({ arrivals, deliveries }: Evidence): Fault[] {
  const faults: Fault[] = [];
  const byId = new Map(deliveries.map((delivery) => [delivery.spec.id, delivery]));
  for (const [id, same] of groupBy(arrivals, ({ webhookId }) => webhookId)) {
    const subject = `webhook-id ${id} (Task ${same[0]?.about.task}, hook ${same[0]?.role})`;
    const delivery = byId.get(id);
    if (delivery === undefined) {
      faults.push({ kind: 'phantom', subject, message: 'was sent, and is not in the store' });
      continue;
    }
    if (new Set(same.map(({ bodyHash }) => bodyHash)).size > 1)
      faults.push({ kind: 'wrong message', subject, message: 'came with different bodies' });
    for (const arrival of same) {
      const message = arrival.fault ?? mismatch(arrival, delivery);
      if (message !== undefined) faults.push({ kind: 'wrong message', subject, message });
    }
  }
  for (const [message, same] of groupBy(arrivals, ({ role, about }) => `${role} ${JSON.stringify(about)}`)) {
    const ids = new Set(same.map(({ webhookId }) => webhookId));
    if (ids.size > 1)
      faults.push({ kind: 'duplicate', subject: message, message: `came as ${[...ids].join(' and ')}` });
  }
  return faults;
}

function mismatch({ role, about }: Arrival, { spec }: Delivery): string | undefined {
  if (role !== spec.hook.name) return `came to ${role}`;
  const { task, phase, completionTime } = spec.payload;
  if (about.task === task && about.phase === phase && about.completionTime === completionTime)
    return undefined;
  return `says ${JSON.stringify(about)}`;
}

/** Nothing is held when all is told, and what is left is marked. */
function judgeTasks({ written, tasks }: Evidence): Fault[] {
  const faults: Fault[] = [];
  const kept = new Map(tasks.map((task) => [task.metadata.name, task.metadata]));
  for (const { name, deleted, runs } of written) {
    const subject = `Task ${name}`;
    const metadata = kept.get(name);
    if (deleted && metadata !== undefined)
      faults.push({
        kind: 'held',
        subject,
        message: `was deleted, and is held by ${metadata.finalizers?.join(', ')}`,
      });
    if (deleted) continue;
    if (metadata === undefined) {
      faults.push({ kind: 'lost', subject, message: 'is not in the store' });
      continue;
    }
    if (metadata.finalizers?.includes(onCompletionFinalizer))
      faults.push({ kind: 'held', subject, message: 'has ended, and is still held' });
    if (metadata.annotations?.[reportedPhaseAnnotation] !== runs.at(-1)?.phase)
      faults.push({ kind: 'held', subject, message: 'is not marked with the phase it ended in' });
  }
  return faults;
}

function wants({ phases }: Hook, { phase }: WrittenRun): boolean {
  return phases === undefined || phases.includes(phase);
}

function runKey(
  uid: string,
  run: { readonly phase: string; readonly completionTime?: string | undefined },
  hook: string,
): string {
  return `${uid} ${run.phase} ${run.completionTime} ${hook}`;
}

function nameOf(delivery: Delivery | undefined): string {
  return `Delivery ${delivery?.metadata.name}`;
}
