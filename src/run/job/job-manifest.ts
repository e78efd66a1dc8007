import type { EnvVar } from '../../api/meta.ts';
import { taskUidLabel } from '../../api/names.ts';
import type { Task } from '../../api/task.ts';
import { type AgentType, type Credentials, effectiveWorker, type PodOverrides } from '../../api/worker.ts';
import type { JsonObject } from '../../base/json.ts';
import { type Agent, credentialKeys, kelosVariables } from '../agent-variables.ts';
import { jobNameOf } from './job-name.ts';

/** The container whose program the Task is, and whose log is read. */
export const agentContainer = 'kelos-agent';

/** What to make of a Task. */
export type JobPlan =
  | { readonly kind: 'ready'; readonly name: string; readonly manifest: JsonObject }
  /** One line: what, where, what to do. */
  | { readonly kind: 'refused'; readonly message: string };

/** The image of each agent, where the Task names none. */
const agentImages: Readonly<Record<Agent, string>> = {
  'claude-code': 'ghcr.io/kelos-dev/claude-code:latest',
  codex: 'ghcr.io/kelos-dev/codex:latest',
  gemini: 'ghcr.io/kelos-dev/gemini:latest',
  opencode: 'ghcr.io/kelos-dev/opencode:latest',
  cursor: 'ghcr.io/kelos-dev/cursor:latest',
};

/** What every agent image begins with. */
const entrypoint = '/kelos_entrypoint.sh';
/** Linux takes no longer argument or variable, its final NUL counted. */
const maxArgumentBytes = 131_072;

/** A disruption is tried once more; a program that failed has had its try. */
const podFailurePolicy = {
  rules: [
    { action: 'Count', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [0] } },
  ],
};

/**
 * The Job that runs a Task. `prompt` is what is asked, with what its dependencies gave filled in; `taskApiVersion` is
 * one in which the API server serves Tasks: the garbage collector looks the owner up by it.
 */
export function planJob(task: Task, prompt: string, taskApiVersion: string): JobPlan {
  const refusal = refusalOf(task, prompt);
  if (refusal !== undefined) return { kind: 'refused', message: refusal };
  const worker = effectiveWorker(task.spec);
  const { podOverrides = {} } = worker;
  const name = jobNameOf(task.metadata.name);
  const labels = labelsOf(task, name, podOverrides);
  const manifest = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace: task.metadata.namespace,
      labels,
      ownerReferences: [ownerOf(task, taskApiVersion)],
    },
    spec: {
      backoffLimit: 1,
      podFailurePolicy: task.spec.podFailurePolicy ?? podFailurePolicy,
      ...given({ activeDeadlineSeconds: podOverrides.activeDeadlineSeconds }),
      template: { metadata: { labels }, spec: podSpec(task, prompt, worker.type || 'command', podOverrides) },
    },
  };
  return { kind: 'ready', name, manifest };
}

/**
 * Without `blockOwnerDeletion`: some clusters let only those set it who may update the finalizers of Tasks, which would be
 * a right for this alone. A Task that runs waits for its Job by its own finalizer.
 */
function ownerOf({ metadata }: Task, apiVersion: string): JsonObject {
  return { apiVersion, kind: 'Task', name: metadata.name, uid: metadata.uid, controller: true };
}

function labelsOf(
  { metadata }: Task,
  jobName: string,
  { labels }: PodOverrides,
): Readonly<Record<string, string>> {
  return {
    ...labels,
    'kelos.dev/name': 'kelos',
    'kelos.dev/component': 'task',
    'kelos.dev/managed-by': 'kelos-controller',
    // A name that is no label value has given the Job another, which is.
    'kelos.dev/task': jobName,
    [taskUidLabel]: metadata.uid,
  };
}

function podSpec(task: Task, prompt: string, type: AgentType, overrides: PodOverrides): JsonObject {
  const { extraContainers = [], extraInitContainers, ...pod } = overrides;
  return {
    restartPolicy: 'Never',
    ...given({
      serviceAccountName: pod.serviceAccountName,
      securityContext: pod.podSecurityContext,
      nodeSelector: pod.nodeSelector,
      tolerations: pod.tolerations,
      affinity: pod.affinity,
      imagePullSecrets: pod.imagePullSecrets,
      volumes: pod.volumes,
      initContainers: extraInitContainers,
    }),
    containers: [agentOf(task, prompt, type, overrides), ...extraContainers],
  };
}

function agentOf(task: Task, prompt: string, type: AgentType, overrides: PodOverrides): JsonObject {
  const { image, credentials } = effectiveWorker(task.spec);
  const program =
    type === 'command'
      ? { image, command: (task.spec.command ?? []).map(literally) }
      : { image: image || agentImages[type], command: [entrypoint], args: [literally(prompt)] };
  return {
    name: agentContainer,
    ...program,
    ...given({
      workingDir: task.spec.workingDir,
      envFrom: type === 'command' ? wholeSecret(credentials) : undefined,
      resources: overrides.resources,
      volumeMounts: overrides.volumeMounts,
      securityContext: overrides.containerSecurityContext,
    }),
    env: variablesOf(task, prompt, type, overrides),
  };
}

/** Those of Telos, then those of `podOverrides` that are not set yet, then those of the Task, over all others. */
function variablesOf(task: Task, prompt: string, type: AgentType, { env = [] }: PodOverrides): EnvVar[] {
  const variables = new Map<string, EnvVar>();
  const set = (variable: EnvVar): unknown => variables.set(variable.name, variable);
  for (const [name, value] of Object.entries(kelosVariables(task, type)))
    if (value) set({ name, value: literally(value) });
  // A container has nothing on its stdin.
  if (type === 'command' && prompt !== '') set({ name: 'TELOS_PROMPT', value: literally(prompt) });
  const { credentials } = effectiveWorker(task.spec);
  if (type !== 'command' && credentials !== undefined && credentials.type !== 'none') {
    const key = credentialKeys[type][credentials.type];
    const name = credentials.secretRef?.name ?? '';
    set({ name: key, valueFrom: { secretKeyRef: { name, key } } });
  }
  // It is run before the agent, in a workspace: only a Workspace may say it.
  const reserved = new Set([...variables.keys(), 'KELOS_SETUP_COMMAND']);
  for (const variable of env) if (!reserved.has(variable.name)) set(variable);
  for (const variable of task.spec.env ?? []) {
    // Kubernetes puts into a variable only those before it.
    variables.delete(variable.name);
    set(variable);
  }
  return [...variables.values()];
}

/** Any program is given every key of its Secret that can be a variable. */
function wholeSecret(credentials: Credentials | undefined): JsonObject[] | undefined {
  if (credentials === undefined || credentials.type === 'none') return undefined;
  const { secretRef } = credentials;
  return secretRef === undefined ? undefined : [{ secretRef: { name: secretRef.name } }];
}

/**
 * Text that a container gets as it stands: Kubernetes would put the value of a variable, which may be a credential, in
 * the place of `$(NAME)`, and prompts hold what strangers wrote.
 */
function literally(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** Why such a Task cannot be run: better no run than one that is not what was asked for. */
function refusalOf({ spec }: Task, prompt: string): string | undefined {
  const worker = effectiveWorker(spec);
  const unsupported = (field: string, instead: string): string =>
    `${field} is not supported by the Job runner yet: ${instead}`;
  if (worker.workspaceRef !== undefined)
    return unsupported(
      'spec.workspaceRef',
      'remove it, and let the agent clone, or use an image with a checkout',
    );
  if (worker.agentConfigRefs !== undefined)
    return unsupported('spec.agentConfigRefs', 'remove it, and use an image with that configuration');
  if (spec.workerPoolRef !== undefined) return unsupported('spec.workerPoolRef', 'set spec.type');
  if (worker.type === undefined) return 'spec.type is missing: set it to an agent, or to command';
  if (worker.type === 'command' && !worker.image)
    return 'spec.image is missing: name the image that holds the program';
  if (worker.type === 'command' && !spec.command?.length)
    return 'spec.command is missing: name the program and its arguments';
  const bytes = Buffer.byteLength(prompt) + (worker.type === 'command' ? 'TELOS_PROMPT='.length : 0);
  if (bytes >= maxArgumentBytes)
    return `spec.prompt takes ${bytes} bytes, and a container is given at most ${maxArgumentBytes - 1}: shorten it`;
  return undefined;
}

/** Without what is undefined. */
function given(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
