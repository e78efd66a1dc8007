import { createdFromAnnotation, taskSpawnerLabel } from '../../api/names.ts';
import type { Task } from '../../api/task.ts';
import { type AgentType, type Credentials, effectiveWorker, type PodOverrides } from '../../api/worker.ts';
import type { ReadSecret } from '../runner.ts';
import type { KeeperOrder } from './run-files.ts';

/** What of a keeper's order comes from the Task. */
export type TaskOrder = Pick<KeeperOrder, 'task' | 'argv' | 'env' | 'stdin' | 'deadlineMs'> & {
  /** Absent: a folder of the run's own. */
  readonly workingDir: string | undefined;
};

/** An order, or why there cannot be one: for ever (`refused`), or until a Secret is there (`waiting`). */
export type Ordered =
  | { readonly kind: 'ordered'; readonly order: TaskOrder }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'waiting'; readonly message: string };

export interface OrderInput {
  readonly task: Task;
  /** The prompt, rendered if it is a template over dependencies. */
  readonly prompt: string;
  /** The environment that programs start from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly readSecret: ReadSecret;
}

/** Turns a Task into what is to be run on this machine. */
export async function orderRun({ task, prompt, environment, readSecret }: OrderInput): Promise<Ordered> {
  const { spec } = task;
  const worker = effectiveWorker(spec);
  if (spec.workerPoolRef !== undefined)
    return refused('spec.workerPoolRef: worker pools need Kubernetes and Kelos');
  if (worker.workspaceRef !== undefined) {
    return refused(
      'spec.workspaceRef: a Workspace cannot be prepared on this machine yet; use spec.workingDir with a checkout of your own',
    );
  }
  if (worker.type === undefined || worker.type === '') return refused('spec.type: is required');
  const argv = worker.type === 'command' ? spec.command : agentArgv(worker.type, worker, prompt);
  if (argv === undefined) return refused('spec.command: is required for type command');
  const secrets = await readVariables(task, worker, readSecret);
  if (typeof secrets === 'string') return { kind: 'waiting', message: secrets };
  const { namespace, name } = task.metadata;
  const deadlineSeconds = worker.podOverrides?.activeDeadlineSeconds;
  return {
    kind: 'ordered',
    order: {
      task: { namespace, name },
      argv,
      env: { ...inherited(environment), ...ownVariables(task, worker.type), ...secrets },
      workingDir: spec.workingDir,
      stdin: worker.type === 'command' ? prompt : '',
      deadlineMs: deadlineSeconds === undefined ? undefined : deadlineSeconds * 1000,
    },
  };
}

interface Worker {
  readonly type?: AgentType | '' | undefined;
  readonly credentials?: Credentials | undefined;
  readonly model?: string | undefined;
  readonly effort?: string | undefined;
  readonly podOverrides?: PodOverrides | undefined;
}

/**
 * How each agent's own program is called. The prompt is text from outside: it stands after `--`, or behind `=`,
 * so that it cannot become a flag.
 */
function agentArgv(type: Exclude<AgentType, 'command'>, { model, effort }: Worker, prompt: string): string[] {
  const modelFlag = model ? ['--model', model] : [];
  switch (type) {
    case 'claude-code': {
      const flags = ['--dangerously-skip-permissions', '--output-format', 'stream-json', '--verbose', '-p'];
      return ['claude', ...flags, ...modelFlag, ...(effort ? ['--effort', effort] : []), '--', prompt];
    }
    case 'codex':
      return [
        'codex',
        'exec',
        '--dangerously-bypass-approvals-and-sandbox',
        '--json',
        ...modelFlag,
        '--',
        prompt,
      ];
    case 'gemini':
      return ['gemini', '--yolo', '--output-format', 'stream-json', ...modelFlag, `--prompt=${prompt}`];
    case 'opencode':
      return ['opencode', 'run', '--format', 'json', ...modelFlag, '--', prompt];
    case 'cursor': {
      const flags = ['-p', '--force', '--trust', '--sandbox', 'disabled', '--output-format', 'stream-json'];
      return ['agent', ...flags, ...modelFlag, '--', prompt];
    }
  }
}

/** The engine's own settings are none of a program's business. */
function inherited(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || name.startsWith('TELOS_') ? [] : [[name, value]],
    ),
  );
}

/** What an agent image is told too, as far as it means something here. */
function ownVariables(task: Task, type: AgentType): Record<string, string> {
  const { metadata, spec } = task;
  const { model, effort } = effectiveWorker(spec);
  const spawner = metadata.labels?.[taskSpawnerLabel] ?? metadata.annotations?.[createdFromAnnotation];
  const variables = {
    KELOS_MODEL: model,
    KELOS_EFFORT: effort,
    KELOS_BRANCH: spec.branch,
    KELOS_AGENT_TYPE: type,
    KELOS_TASKSPAWNER: spawner,
    KELOS_UPSTREAM_REPO: spec.upstreamRepo,
  };
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value ? [[name, value]] : [])),
  );
}

/** Credential, then podOverrides.env, then spec.env, later ones winning. A text: the Secret that is missing. */
async function readVariables(
  task: Task,
  worker: Worker,
  readSecret: ReadSecret,
): Promise<Record<string, string> | string> {
  const variables: Record<string, string> = {};
  const credential = credentialKey(worker);
  if (credential !== undefined) {
    const value = await readSecret(credential.secret, credential.key);
    if (value === undefined) return missing('spec.credentials.secretRef', credential.secret, credential.key);
    variables[credential.key] = value;
  }
  const given = [
    ...(worker.podOverrides?.env ?? []).map((variable, index) => ({
      variable,
      path: `spec.podOverrides.env[${index}]`,
    })),
    ...(task.spec.env ?? []).map((variable, index) => ({ variable, path: `spec.env[${index}]` })),
  ];
  for (const { variable, path } of given) {
    const { name, value = '', valueFrom } = variable;
    const reference = valueFrom?.secretKeyRef;
    if (reference === undefined) {
      variables[name] = value;
      continue;
    }
    const secret = await readSecret(reference.name, reference.key);
    if (secret !== undefined) variables[name] = secret;
    else if (reference.optional !== true) return missing(path, reference.name, reference.key);
  }
  return variables;
}

function missing(path: string, name: string, key: string): string {
  return `Waiting for Secret "${name}" with key "${key}" (${path})`;
}

const credentialKeys = {
  'claude-code': { 'api-key': 'ANTHROPIC_API_KEY', oauth: 'CLAUDE_CODE_OAUTH_TOKEN' },
  codex: { 'api-key': 'CODEX_API_KEY', oauth: 'CODEX_AUTH_JSON' },
  gemini: { 'api-key': 'GEMINI_API_KEY', oauth: 'GEMINI_API_KEY' },
  opencode: { 'api-key': 'OPENCODE_API_KEY', oauth: 'OPENCODE_API_KEY' },
  cursor: { 'api-key': 'CURSOR_API_KEY', oauth: 'CURSOR_API_KEY' },
} as const;

/** The key of the credential Secret, which is also the name of the variable. */
function credentialKey({ type, credentials }: Worker): { secret: string; key: string } | undefined {
  if (credentials?.secretRef === undefined || credentials.type === 'none') return undefined;
  if (type === undefined || type === '' || type === 'command') return undefined;
  return { secret: credentials.secretRef.name, key: credentialKeys[type][credentials.type] };
}

function refused(message: string): Ordered {
  return { kind: 'refused', message };
}
