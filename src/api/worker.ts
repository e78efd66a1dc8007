import { z } from 'zod';
import { EnvVar, LocalReference } from './meta.ts';

/** The agents that Telos knows how to start; `command` runs `spec.command` as it stands. */
export const AgentType = z.enum(['claude-code', 'codex', 'gemini', 'opencode', 'cursor', 'command']);
export type AgentType = z.infer<typeof AgentType>;

export const Credentials = z
  .object({
    type: z.enum(['api-key', 'oauth', 'none']),
    secretRef: LocalReference.optional(),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: "self.type == 'none' || has(self.secretRef)",
        message: 'secretRef is required for types api-key and oauth',
      },
    ],
  });
export type Credentials = z.infer<typeof Credentials>;

/** Anything a Pod may hold; the API server of the cluster judges it when the Pod is made. */
const podValue = z.record(z.string(), z.unknown()).meta({ 'x-kubernetes-preserve-unknown-fields': true });

/** Containers beside the agent's; it and its helpers have names that begin with `kelos-`. */
const Containers = z
  .array(
    z.looseObject({ name: z.string().min(1).max(63) }).meta({ 'x-kubernetes-preserve-unknown-fields': true }),
  )
  .max(8)
  .meta({
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    'x-kubernetes-validations': [
      {
        rule: "self.all(c, !c.name.startsWith('kelos-') && !(c.name in ['git-clone', 'remote-setup', 'branch-setup', 'workspace-files', 'plugin-setup', 'skills-install']))",
        message: 'a container may not have a name of the agent or its helpers (kelos-…, git-clone, …)',
      },
    ],
  });

export const PodOverrides = z.object({
  labels: z.record(z.string(), z.string()).optional(),
  resources: podValue.optional(),
  activeDeadlineSeconds: z.int().min(1).optional().describe('The longest the agent may run, in seconds.'),
  env: z.array(EnvVar).optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  tolerations: z.array(podValue).optional(),
  affinity: podValue.optional(),
  imagePullSecrets: z.array(LocalReference).optional(),
  serviceAccountName: z.string().optional(),
  volumes: z.array(podValue).optional(),
  volumeMounts: z.array(podValue).optional(),
  podSecurityContext: podValue.optional(),
  containerSecurityContext: podValue.optional(),
  extraContainers: Containers.optional(),
  extraInitContainers: Containers.optional(),
});
export type PodOverrides = z.infer<typeof PodOverrides>;

/** How a Task is executed: the fields that stand flat in a Task (v1alpha1) or under `worker` (v1alpha2). */
export const workerFields = {
  type: AgentType.or(z.literal('')).optional().describe('The agent, or `command`.'),
  credentials: Credentials.optional(),
  model: z.string().optional(),
  effort: z.string().optional(),
  image: z.string().optional(),
  workspaceRef: LocalReference.optional(),
  agentConfigRefs: z.array(LocalReference).min(1).optional(),
  podOverrides: PodOverrides.optional(),
};

export const WorkerSpec = z.object(workerFields);

/** Fields of a Task and of a taskTemplate alike. */
export const executionFields = {
  worker: WorkerSpec.optional().describe('Execution environment; wins over the flat fields.'),
  workerPoolRef: LocalReference.optional(),
  ...workerFields,
  agentConfigRef: LocalReference.optional(),
  command: z
    .array(z.string().max(131072))
    .min(1)
    .max(256)
    .optional()
    .describe('For type command: program and arguments, started without a shell.'),
  env: z.array(EnvVar).max(256).optional().describe('Environment variables of the process, over all others.'),
  workingDir: z.string().min(1).max(4096).optional().describe('Absolute working directory of the process.'),
  dependsOn: z.array(z.string().min(1)).max(64).optional().describe('Tasks that must succeed first.'),
  branch: z.string().optional(),
  branchLock: z.enum(['Exclusive', 'None']).optional(),
  upstreamRepo: z.string().optional(),
  ttlSecondsAfterFinished: z
    .int32()
    .min(0)
    .optional()
    .describe('Removes the finished Task after so many seconds, once its hooks are recorded.'),
  podFailurePolicy: podValue.optional(),
};

interface Worker {
  readonly type?: AgentType | '' | undefined;
  readonly credentials?: Credentials | undefined;
  readonly model?: string | undefined;
  readonly effort?: string | undefined;
  readonly image?: string | undefined;
  readonly workspaceRef?: { name: string } | undefined;
  readonly agentConfigRefs?: { name: string }[] | undefined;
  readonly podOverrides?: PodOverrides | undefined;
}

interface Execution extends Worker {
  readonly worker?: Worker | undefined;
  readonly agentConfigRef?: { name: string } | undefined;
}

/**
 * The execution environment of a Task or taskTemplate, whichever API version wrote it: each field of
 * `worker` first, then the flat one. An empty type counts as absent.
 */
export function effectiveWorker(spec: Execution): Worker {
  const { worker } = spec;
  return {
    type: worker?.type || spec.type || undefined,
    credentials: worker?.credentials ?? spec.credentials,
    model: worker?.model || spec.model,
    effort: worker?.effort || spec.effort,
    image: worker?.image || spec.image,
    workspaceRef: worker?.workspaceRef ?? spec.workspaceRef,
    agentConfigRefs:
      worker?.agentConfigRefs ??
      spec.agentConfigRefs ??
      (spec.agentConfigRef === undefined ? undefined : [spec.agentConfigRef]),
    podOverrides: worker?.podOverrides ?? spec.podOverrides,
  };
}

/** CEL for the type in force, '' when there is none; the same order as in `effectiveWorker`. */
export const typeInForce =
  "(has(self.worker) && has(self.worker.type) && self.worker.type != '' ? self.worker.type : has(self.type) ? self.type : '')";

const commandRule = {
  rule: `${typeInForce} != 'command' || has(self.command)`,
  message: 'is required for type command',
  fieldPath: '.command',
};
const commandOnlyRule = {
  rule: `!has(self.command) || ${typeInForce} == 'command'`,
  message: 'goes with type: command',
  fieldPath: '.command',
};
const typeRule = {
  rule: `has(self.workerPoolRef) || ${typeInForce} != ''`,
  message: 'one of type, worker.type and workerPoolRef is required',
};

/** CEL rules of a Task spec and a taskTemplate alike. */
export const executionRules = [typeRule, commandRule, commandOnlyRule];
