import { isAbsolute } from 'node:path';
import type { EnvVar, SecretKeyReference } from '../../api/meta.ts';
import { type Secret, secretValue } from '../../api/secret.ts';
import type { Task } from '../../api/task.ts';
import { type AgentType, type Credentials, effectiveWorker } from '../../api/worker.ts';
import { type Agent, credentialKeys, kelosVariables } from '../agent-variables.ts';
import { hiddenValues } from '../hidden-values.ts';
import type { RunRequest } from '../runner.ts';

/** What is started for a Task. */
export interface Launch {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Given on stdin. */
  readonly stdin: string;
  /** Undefined: a fresh folder. */
  readonly workingDir: string | undefined;
  readonly deadlineMs: number | undefined;
  /** Values that must not appear in what is recorded. */
  readonly hidden: readonly string[];
}

export type Plan =
  | { readonly kind: 'ready'; readonly launch: Launch }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'waiting'; readonly message: string };

interface AgentCall {
  readonly prompt: string;
  readonly model: string | undefined;
  readonly effort: string | undefined;
}

const option = (name: string, value: string | undefined): string[] =>
  value === undefined || value === '' ? [] : [name, value];

/** How each agent is called, with what lets it work alone. */
const agentCalls: Readonly<Record<Agent, (call: AgentCall) => string[]>> = {
  'claude-code': ({ prompt, model, effort }) => [
    ...['claude', '--dangerously-skip-permissions', '--output-format', 'stream-json', '--verbose'],
    ...['-p', prompt, ...option('--model', model), ...option('--effort', effort)],
  ],
  codex: ({ prompt, model }) => [
    ...['codex', 'exec', '--dangerously-bypass-approvals-and-sandbox', '--json'],
    ...[...option('--model', model), prompt],
  ],
  gemini: ({ prompt, model }) => [
    ...['gemini', '--yolo', '--output-format', 'stream-json', ...option('--model', model), '-p', prompt],
  ],
  opencode: ({ prompt, model }) => [
    ...['opencode', 'run', '--format', 'json', ...option('--model', model), prompt],
  ],
  cursor: ({ prompt, model }) => [
    ...['agent', '-p', '--force', '--trust', '--sandbox', 'disabled', '--output-format', 'stream-json'],
    ...[...option('--model', model), prompt],
  ],
};

/**
 * Makes of a Task what to start for it on this machine. `inherited` is the environment of the engine; variables
 * of Telos itself (`TELOS_…`) are kept from the program.
 */
export async function planLaunch(
  request: RunRequest,
  inherited: Readonly<Record<string, string | undefined>>,
): Promise<Plan> {
  const { task, prompt } = request;
  const refusal = refusalOf(task);
  if (refusal !== undefined) return { kind: 'refused', message: refusal };
  const worker = effectiveWorker(task.spec);
  const type = worker.type || 'command';
  const environment = new Environment(request, inherited);
  environment.setAll(kelosVariables(task, type));
  await environment.setCredentials(type, worker.credentials);
  await environment.setEach(worker.podOverrides?.env ?? [], 'spec.podOverrides.env', 'keep');
  await environment.setEach(task.spec.env ?? [], 'spec.env', 'replace');
  if (environment.fault !== undefined) return environment.fault;
  const seconds = worker.podOverrides?.activeDeadlineSeconds;
  return {
    kind: 'ready',
    launch: {
      argv: type === 'command' ? (task.spec.command ?? []) : argvOf(type, task, prompt),
      env: environment.variables,
      stdin: type === 'command' ? prompt : '',
      workingDir: task.spec.workingDir,
      deadlineMs: seconds === undefined ? undefined : seconds * 1000,
      hidden: hiddenValues(environment.secrets, environment.variables),
    },
  };
}

function argvOf(type: Agent, { spec }: Task, prompt: string): string[] {
  const { model, effort } = effectiveWorker(spec);
  // A prompt often begins with text from outside: it must never be taken for an option of the agent.
  const safe = prompt.startsWith('-') ? ` ${prompt}` : prompt;
  return agentCalls[type]({ prompt: safe, model, effort });
}

/** Why this machine cannot run such a Task: better no run than one that is not what was asked for. */
function refusalOf({ spec }: Task): string | undefined {
  const worker = effectiveWorker(spec);
  const unsupported = (field: string, instead: string): string =>
    `${field} is not supported by the process runner yet: ${instead}, or run the Task on Kubernetes`;
  if (worker.workspaceRef !== undefined)
    return unsupported('spec.workspaceRef', 'name a checkout in spec.workingDir');
  if (worker.agentConfigRefs !== undefined)
    return unsupported('spec.agentConfigRefs', 'configure the agent on this machine');
  if (spec.workerPoolRef !== undefined) return unsupported('spec.workerPoolRef', 'set spec.type');
  if (worker.type === undefined) return 'spec.type is missing: set it to an agent, or to command';
  if (worker.type === 'command' && !spec.command?.length)
    return 'spec.command is missing: name the program and its arguments';
  if (spec.workingDir !== undefined && !isAbsolute(spec.workingDir))
    return `spec.workingDir must be an absolute path, but is ${JSON.stringify(spec.workingDir.slice(0, 200))}`;
  return undefined;
}

/** The environment of a program while it is put together. The first fault stays. */
class Environment {
  readonly #request: RunRequest;
  /** What is inherited may be replaced by anybody. */
  readonly #inherited: Readonly<Record<string, string>>;
  readonly #set = new Map<string, string>();
  readonly #read = new Map<string, Promise<Secret | undefined>>();
  readonly secrets: string[] = [];
  fault: Exclude<Plan, { kind: 'ready' }> | undefined;

  constructor(request: RunRequest, inherited: Readonly<Record<string, string | undefined>>) {
    this.#request = request;
    this.#inherited = Object.fromEntries(
      Object.entries(inherited).flatMap(([name, value]) =>
        value === undefined || name.startsWith('TELOS_') ? [] : [[name, value]],
      ),
    );
  }

  get variables(): Readonly<Record<string, string>> {
    return { ...this.#inherited, ...Object.fromEntries(this.#set) };
  }

  setAll(variables: Readonly<Record<string, string | undefined>>): void {
    for (const [name, value] of Object.entries(variables)) if (value) this.#set.set(name, value);
  }

  /** An agent gets the one variable it knows; a command gets every key of the Secret that can be a variable. */
  async setCredentials(type: AgentType, credentials: Credentials | undefined): Promise<void> {
    const name = credentials?.secretRef?.name;
    if (credentials === undefined || credentials.type === 'none' || name === undefined) return;
    if (type !== 'command') {
      const key = credentialKeys[type][credentials.type];
      this.#setSecret(key, await this.#valueOf(name, key, 'spec.credentials'));
      return;
    }
    const secret = await this.#secret(name);
    if (secret === undefined) this.#wait(`spec.credentials: there is no Secret ${name}; create it`);
    for (const key of Object.keys(secret?.data ?? {}))
      if (secret !== undefined && /^[A-Za-z_]\w*$/.test(key)) this.#setSecret(key, secretValue(secret, key));
  }

  async setEach(variables: readonly EnvVar[], path: string, onSet: 'keep' | 'replace'): Promise<void> {
    const before = new Set(this.#set.keys());
    for (const [index, variable] of variables.entries()) {
      if (onSet === 'keep' && before.has(variable.name)) continue;
      await this.#setOne(variable, `${path}[${index}]`);
    }
  }

  async #setOne({ name, value, valueFrom }: EnvVar, path: string): Promise<void> {
    const reference = valueFrom?.secretKeyRef;
    if (/[=\0]/.test(name)) {
      this.#refuse(`${path}.name cannot hold = or NUL: correct it`);
    } else if (valueFrom === undefined) {
      if (value?.includes('\0') === true) this.#refuse(`${path}.value cannot hold NUL: correct it`);
      this.#set.set(name, value ?? '');
    } else if (reference === undefined) {
      this.#refuse(`${path}.valueFrom: the process runner knows only secretKeyRef; use that, or value`);
    } else {
      await this.#setReferred(name, reference, path);
    }
  }

  async #setReferred(
    name: string,
    reference: SecretKeyReference & { readonly optional?: boolean | undefined },
    path: string,
  ): Promise<void> {
    const { name: secret, key, optional } = reference;
    if (optional === true) this.#setSecret(name, secretValueOf(await this.#secret(secret), key));
    else this.#setSecret(name, await this.#valueOf(secret, key, path));
  }

  async #valueOf(name: string, key: string, path: string): Promise<string | undefined> {
    const secret = await this.#secret(name);
    const value = secretValueOf(secret, key);
    if (secret === undefined) this.#wait(`${path}: there is no Secret ${name}; create it`);
    else if (value === undefined) this.#wait(`${path}: Secret ${name} has no key ${key}; add it`);
    return value;
  }

  #setSecret(name: string, value: string | undefined): void {
    if (value === undefined) return;
    if (value.includes('\0')) this.#refuse(`the Secret value for ${name} holds NUL, which no variable can`);
    this.#set.set(name, value);
    this.secrets.push(value);
  }

  #secret(name: string): Promise<Secret | undefined> {
    let read = this.#read.get(name);
    if (read === undefined) {
      read = this.#request.readSecret(name);
      this.#read.set(name, read);
    }
    return read;
  }

  #refuse(message: string): void {
    this.fault ??= { kind: 'refused', message };
  }

  #wait(message: string): void {
    this.fault ??= { kind: 'waiting', message };
  }
}

function secretValueOf(secret: Secret | undefined, key: string): string | undefined {
  return secret === undefined ? undefined : secretValue(secret, key);
}
