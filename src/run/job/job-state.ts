import { z } from 'zod';
import { taskUidLabel } from '../../api/names.ts';
import { hiddenValues } from '../hidden-values.ts';
import { agentContainer } from './job-manifest.ts';

/** What is kept of a Job. */
export interface JobState {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Of the Task that controls it. */
  readonly taskUid: string;
  /** Wall time in milliseconds. */
  readonly createdAt: number;
  readonly end: JobEnd | undefined;
  /** Secrets whose values its program was given; without a key, all of them. */
  readonly secrets: readonly SecretUse[];
  /** Other values that must not appear in what is recorded. */
  readonly hidden: readonly string[];
}

export interface SecretUse {
  readonly name: string;
  readonly key?: string | undefined;
}

/** How a Job has ended, in the words of its last condition. */
export interface JobEnd {
  readonly succeeded: boolean;
  readonly reason: string;
  readonly message: string;
  /** Wall time in milliseconds. */
  readonly at: number;
}

/** What is kept of a Pod of a Job. */
export interface PodState {
  readonly name: string;
  readonly uid: string;
  readonly jobUid: string;
  readonly taskUid: string;
  readonly createdAt: number;
  readonly phase: string;
  /** Why the Pod as a whole is as it is: `Evicted`, `DeadlineExceeded`. */
  readonly reason: string;
  readonly message: string;
  /** Why the scheduler has found no node for it. */
  readonly unschedulable: string | undefined;
  /** Why Kubernetes itself took it away. */
  readonly disruption: string | undefined;
  readonly agent: ContainerState | undefined;
  /** The others, init containers first. */
  readonly others: readonly ContainerState[];
}

export interface ContainerState {
  readonly name: string;
  readonly image: string;
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
  /** Wall time in milliseconds. */
  readonly startedAt: number | undefined;
  readonly terminated: Termination | undefined;
}

export interface Termination {
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly finishedAt: number | undefined;
}

const text = z.string().catch('');
const Time = z
  .string()
  .transform((value) => Date.parse(value))
  .refine((value) => !Number.isNaN(value))
  .optional()
  .catch(undefined);
const Condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: text,
  message: text,
  lastTransitionTime: Time,
});
const Conditions = z.array(Condition).catch([]);
const Owner = z.object({ kind: z.string(), uid: z.string(), controller: z.boolean().optional() });
const Meta = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  creationTimestamp: Time,
  labels: z.record(z.string(), z.string()).catch({}),
  ownerReferences: z.array(Owner).catch([]),
});
type Meta = z.infer<typeof Meta>;

const SecretRef = z.object({ name: z.string() });
const Variable = z.object({
  name: z.string(),
  value: text,
  valueFrom: z
    .object({ secretKeyRef: SecretRef.extend({ key: z.string() }).optional().catch(undefined) })
    .optional()
    .catch(undefined),
});
const Container = z.object({
  name: z.string(),
  env: z.array(Variable).catch([]),
  envFrom: z.array(z.object({ secretRef: SecretRef.optional().catch(undefined) })).catch([]),
});
const Job = z.object({
  metadata: Meta,
  spec: z.object({ template: z.object({ spec: z.object({ containers: z.array(Container) }) }) }),
  status: z.object({ conditions: Conditions }).catch({ conditions: [] }),
});

const Terminated = z.object({
  exitCode: z.number(),
  reason: text,
  message: text,
  startedAt: Time,
  finishedAt: Time,
});
const ContainerStatus = z.object({
  name: z.string(),
  image: text,
  state: z
    .object({
      waiting: z.object({ reason: text, message: text }).optional().catch(undefined),
      running: z.object({ startedAt: Time }).optional().catch(undefined),
      terminated: Terminated.optional().catch(undefined),
    })
    .catch({}),
});
const ContainerStatuses = z.array(ContainerStatus).catch([]);
const Pod = z.object({
  metadata: Meta,
  status: z.object({
    phase: text,
    reason: text,
    message: text,
    conditions: Conditions,
    initContainerStatuses: ContainerStatuses,
    containerStatuses: ContainerStatuses,
  }),
});

/** What is to be kept of a Job; undefined when it is none that Telos made for a Task. */
export function readJob(sent: unknown): JobState | undefined {
  const checked = Job.safeParse(sent);
  if (!checked.success) return undefined;
  const { metadata, spec, status } = checked.data;
  const taskUid = controllerOf(metadata, 'Task');
  if (taskUid === undefined || metadata.labels[taskUidLabel] !== taskUid) return undefined;
  const agent = spec.template.spec.containers.find(({ name }) => name === agentContainer);
  const { name, namespace, uid, creationTimestamp = 0 } = metadata;
  const { env = [], envFrom = [] } = agent ?? {};
  return {
    namespace,
    name,
    uid,
    taskUid,
    createdAt: creationTimestamp,
    end: endOf(status.conditions),
    secrets: [
      ...envFrom.flatMap(({ secretRef }) => (secretRef === undefined ? [] : [{ name: secretRef.name }])),
      ...env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []),
    ],
    hidden: hiddenValues([], Object.fromEntries(env.map((variable) => [variable.name, variable.value]))),
  };
}

/** What is to be kept of a Pod; undefined when it is none of a Job of a Task. */
export function readPod(sent: unknown): PodState | undefined {
  const checked = Pod.safeParse(sent);
  if (!checked.success) return undefined;
  const { metadata, status } = checked.data;
  const jobUid = controllerOf(metadata, 'Job');
  const taskUid = metadata.labels[taskUidLabel];
  if (jobUid === undefined || taskUid === undefined) return undefined;
  const find = (type: string, holds: string): z.infer<typeof Condition> | undefined =>
    status.conditions.find((condition) => condition.type === type && condition.status === holds);
  const containers = status.containerStatuses.map(containerState);
  const { name, uid, creationTimestamp = 0 } = metadata;
  const { phase, reason, message } = status;
  return {
    name,
    uid,
    jobUid,
    taskUid,
    createdAt: creationTimestamp,
    phase,
    reason,
    message,
    unschedulable: find('PodScheduled', 'False')?.message,
    disruption: find('DisruptionTarget', 'True')?.message,
    agent: containers.find((container) => container.name === agentContainer),
    others: [
      ...status.initContainerStatuses.map(containerState),
      ...containers.filter((container) => container.name !== agentContainer),
    ],
  };
}

function controllerOf({ ownerReferences }: Meta, kind: string): string | undefined {
  return ownerReferences.find((owner) => owner.controller === true && owner.kind === kind)?.uid;
}

function endOf(conditions: z.infer<typeof Conditions>): JobEnd | undefined {
  const last = conditions.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
  if (last === undefined) return undefined;
  const { type, reason, message, lastTransitionTime = 0 } = last;
  return { succeeded: type === 'Complete', reason, message, at: lastTransitionTime };
}

function containerState({ name, image, state }: z.infer<typeof ContainerStatus>): ContainerState {
  const { waiting, running, terminated } = state;
  return {
    name,
    image,
    waiting,
    startedAt: running?.startedAt ?? terminated?.startedAt,
    terminated:
      terminated === undefined
        ? undefined
        : {
            exitCode: terminated.exitCode,
            reason: terminated.reason,
            message: terminated.message,
            finishedAt: terminated.finishedAt,
          },
  };
}
