import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '../api/meta.ts';
import type { TaskSpawner, TaskSpawnerStatus } from '../api/task-spawner.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import { limitOf } from './build-task.ts';
import type { SlotCounts } from './slots.ts';
import type { Planned } from './spawner-plan.ts';

/** How making Tasks went of late: `unknown` since this process has begun, then well or with trouble. */
export type Health =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'well' }
  | { readonly kind: 'trouble'; readonly message: string };

export interface StatusInput {
  readonly spawner: TaskSpawner;
  readonly planned: Planned;
  readonly counts: SlotCounts;
  readonly totalTasksCreated: number;
  readonly health: Health;
  /** How far a schedule has been worked; undefined for other sources. */
  readonly throughMs: number | undefined;
  /** When a schedule has its next item. */
  readonly nextMs: number | undefined;
  readonly nowMs: number;
}

/** The changes that the status needs, as a merge patch; undefined when it says everything already. Pure. */
export function decideStatus(input: StatusInput): Readonly<Record<string, unknown>> | undefined {
  const before: TaskSpawnerStatus = input.spawner.status ?? {};
  const now: Readonly<Partial<Record<keyof TaskSpawnerStatus, unknown>>> = {
    phase: phaseOf(input),
    message: messageOf(input),
    activeTasks: input.counts.active,
    waitingTasks: input.counts.waiting,
    totalTasksCreated: input.totalTasksCreated,
    lastDiscoveryTime: input.throughMs === undefined ? undefined : rfc3339(input.throughMs),
    observedGeneration: input.spawner.metadata.generation,
    conditions: conditionsOf(input),
  };
  const changes = Object.entries(now)
    .filter(([field, value]) => !isDeepStrictEqual(value, before[field as keyof TaskSpawnerStatus]))
    .map(([field, value]) => [field, value ?? null]);
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}

function phaseOf({ spawner, planned }: StatusInput): 'Failed' | 'Suspended' | 'Running' {
  if (!planned.ok) return 'Failed';
  return spawner.spec.suspend === true ? 'Suspended' : 'Running';
}

function messageOf(input: StatusInput): string {
  const { spawner, planned, totalTasksCreated, nextMs } = input;
  if (!planned.ok) return planned.message;
  if (spawner.spec.suspend === true) return 'Suspended by user';
  const trouble = troubleOf(input);
  if (trouble !== undefined) return `No Task was made: ${trouble}`;
  const limit = reachedLimit(input);
  if (limit !== undefined) return `All ${limit} Tasks of spec.maxTotalTasks have been made`;
  if (planned.plan.source.kind === 'event') return 'Webhook-driven TaskSpawner ready';
  const next = nextMs === undefined ? 'the schedule never comes round' : `next at ${rfc3339(nextMs)}`;
  return `Created ${totalTasksCreated} tasks total; ${next}`;
}

/** What went wrong last, as far as is known: a restart keeps it, a changed spec deserves another try. */
function troubleOf({ spawner, health }: StatusInput): string | undefined {
  if (health.kind === 'well') return undefined;
  if (health.kind === 'trouble') return health.message;
  const kept = spawner.status?.conditions?.find(({ type }) => type === 'DiscoveryError');
  const current = kept?.observedGeneration === spawner.metadata.generation;
  return kept?.status === 'True' && kept.reason === 'TaskCreationFailed' && current
    ? kept.message
    : undefined;
}

function reachedLimit({ spawner, totalTasksCreated }: StatusInput): number | undefined {
  const limit = limitOf(spawner.spec.maxTotalTasks);
  return limit !== undefined && totalTasksCreated >= limit ? limit : undefined;
}

/** The condition of a TaskSpawner whose hooks are wrong; one whose hooks are right has none. */
const invalidHooks = 'InvalidHooks';

/** What a condition's message may have, in bytes. */
const maxMessageBytes = 1024;

/** One condition before its times are known. */
interface Verdict {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

function conditionsOf(input: StatusInput): Condition[] {
  const { spawner, nowMs } = input;
  const before = spawner.status?.conditions ?? [];
  const verdicts = [
    suspendedVerdict(input),
    limitVerdict(input),
    errorVerdict(input),
    ...hooksVerdict(input),
  ];
  const types = new Set([...verdicts.map(({ type }) => type), invalidHooks]);
  const { generation } = spawner.metadata;
  const own = verdicts.map((verdict): Condition => {
    const same = before.find(({ type, status }) => type === verdict.type && status === verdict.status);
    return {
      ...verdict,
      lastTransitionTime: same?.lastTransitionTime ?? rfc3339(nowMs),
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  });
  return [...before.filter(({ type }) => !types.has(type)), ...own];
}

function suspendedVerdict({ spawner }: StatusInput): Verdict {
  return spawner.spec.suspend === true
    ? { type: 'Suspended', status: 'True', reason: 'UserSuspended', message: 'Suspended by user' }
    : { type: 'Suspended', status: 'False', reason: 'Running', message: '' };
}

function limitVerdict(input: StatusInput): Verdict {
  const limit = reachedLimit(input);
  const type = 'MaxTotalTasksReached';
  return limit === undefined
    ? { type, status: 'False', reason: 'LimitAvailable', message: '' }
    : { type, status: 'True', reason: 'LimitReached', message: `all ${limit} Tasks have been made` };
}

function errorVerdict(input: StatusInput): Verdict {
  const type = 'DiscoveryError';
  const { planned } = input;
  if (!planned.ok) return { type, status: 'True', reason: planned.code, message: planned.message };
  const trouble = troubleOf(input);
  return trouble === undefined
    ? { type, status: 'False', reason: 'NoErrors', message: '' }
    : { type, status: 'True', reason: 'TaskCreationFailed', message: trouble };
}

function hooksVerdict({ planned }: StatusInput): readonly Verdict[] {
  const faults = planned.ok ? planned.plan.hookFaults : [];
  if (faults.length === 0) return [];
  const message = faults.map((fault) => `${fault.path}: ${fault.message}`).join('; ');
  const status = 'True';
  return [{ type: invalidHooks, status, reason: 'FaultFound', message: clampUtf8(message, maxMessageBytes) }];
}
