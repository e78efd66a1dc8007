import { describe, expect, test } from 'vitest';
import type { Task, TaskSpec } from '../../../src/api/task.ts';
import { planJob } from '../../../src/run/job/job-manifest.ts';
import { jobNameOf } from '../../../src/run/job/job-name.ts';
import { taskOf } from '../fixtures.ts';

const apiVersion = 'kelos.dev/v1alpha1';

function plan(spec: Partial<TaskSpec>, prompt = 'do it', metadata: Partial<Task['metadata']> = {}): unknown {
  const task = taskOf('t', spec, 'uid-1');
  const planned = planJob({ ...task, metadata: { ...task.metadata, ...metadata } }, prompt, apiVersion);
  return planned.kind === 'ready' ? planned.manifest : planned.message;
}

const claude: Partial<TaskSpec> = {
  type: 'claude-code',
  credentials: { type: 'api-key', secretRef: { name: 'key' } },
};

interface Agent {
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly image?: string;
}

function agentOf(spec: Partial<TaskSpec>, prompt?: string, metadata?: Partial<Task['metadata']>): Agent {
  const job = plan(spec, prompt, metadata) as {
    readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Agent[] } } };
  };
  const [agent] = job.spec.template.spec.containers;
  if (agent === undefined) throw new Error('there is no container');
  return agent;
}

describe('the Job of a Task', () => {
  test('is all of it: name, labels, owner, retries, image, program, variables', () => {
    const labels = {
      'kelos.dev/name': 'kelos',
      'kelos.dev/component': 'task',
      'kelos.dev/managed-by': 'kelos-controller',
      'kelos.dev/task': 't',
      'telos.dev/task-uid': 'uid-1',
    };
    const metadata = { labels: { 'kelos.dev/taskspawner': 'spawner' } };
    const spec = { ...claude, model: 'opus', effort: 'high', branch: 'main' };
    expect(plan(spec, 'do it', metadata)).toEqual({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: 't',
        namespace: 'default',
        labels,
        ownerReferences: [{ apiVersion, kind: 'Task', name: 't', uid: 'uid-1', controller: true }],
      },
      spec: {
        backoffLimit: 1,
        podFailurePolicy: {
          rules: [
            { action: 'Count', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
            { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [0] } },
          ],
        },
        template: {
          metadata: { labels },
          spec: {
            restartPolicy: 'Never',
            containers: [
              {
                name: 'kelos-agent',
                image: 'ghcr.io/kelos-dev/claude-code:latest',
                command: ['/kelos_entrypoint.sh'],
                args: ['do it'],
                env: [
                  { name: 'KELOS_MODEL', value: 'opus' },
                  { name: 'KELOS_EFFORT', value: 'high' },
                  { name: 'KELOS_BRANCH', value: 'main' },
                  { name: 'KELOS_AGENT_TYPE', value: 'claude-code' },
                  { name: 'KELOS_TASKSPAWNER', value: 'spawner' },
                  {
                    name: 'ANTHROPIC_API_KEY',
                    valueFrom: { secretKeyRef: { name: 'key', key: 'ANTHROPIC_API_KEY' } },
                  },
                ],
              },
            ],
          },
        },
      },
    });
  });

  test('takes everything that podOverrides say, except labels and variables of Telos', () => {
    const overrides = {
      labels: { team: 'a', 'kelos.dev/task': 'forged', 'telos.dev/task-uid': 'forged' },
      resources: { limits: { cpu: '1' } },
      activeDeadlineSeconds: 60,
      env: [
        { name: 'KELOS_MODEL', value: 'forged' },
        { name: 'KELOS_SETUP_COMMAND', value: '["rm"]' },
        { name: 'EXTRA', value: '$(KELOS_AGENT_TYPE)' },
      ],
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      imagePullSecrets: [{ name: 'pull' }],
      serviceAccountName: 'agent',
      volumes: [{ name: 'v', emptyDir: {} }],
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
      podSecurityContext: { runAsNonRoot: true },
      containerSecurityContext: { readOnlyRootFilesystem: true },
      extraContainers: [{ name: 'proxy', image: 'proxy' }],
      extraInitContainers: [{ name: 'prepare', image: 'prepare' }],
    };
    const job = plan({ type: 'codex', model: 'm', image: 'mine', workingDir: '/w', podOverrides: overrides });
    expect(job).toMatchObject({
      metadata: { labels: { team: 'a', 'kelos.dev/task': 't', 'telos.dev/task-uid': 'uid-1' } },
      spec: {
        activeDeadlineSeconds: 60,
        template: {
          spec: {
            nodeSelector: { disk: 'ssd' },
            tolerations: [{ operator: 'Exists' }],
            affinity: { nodeAffinity: {} },
            imagePullSecrets: [{ name: 'pull' }],
            serviceAccountName: 'agent',
            securityContext: { runAsNonRoot: true },
            volumes: [{ name: 'v', emptyDir: {} }],
            initContainers: [{ name: 'prepare', image: 'prepare' }],
            containers: [
              {
                name: 'kelos-agent',
                image: 'mine',
                workingDir: '/w',
                resources: { limits: { cpu: '1' } },
                volumeMounts: [{ name: 'v', mountPath: '/v' }],
                securityContext: { readOnlyRootFilesystem: true },
                env: [
                  { name: 'KELOS_MODEL', value: 'm' },
                  { name: 'KELOS_AGENT_TYPE', value: 'codex' },
                  { name: 'EXTRA', value: '$(KELOS_AGENT_TYPE)' },
                ],
              },
              { name: 'proxy', image: 'proxy' },
            ],
          },
        },
      },
    });
  });

  test.each([
    ['claude-code', 'api-key', 'ANTHROPIC_API_KEY'],
    ['claude-code', 'oauth', 'CLAUDE_CODE_OAUTH_TOKEN'],
    ['codex', 'api-key', 'CODEX_API_KEY'],
    ['codex', 'oauth', 'CODEX_AUTH_JSON'],
    ['gemini', 'api-key', 'GEMINI_API_KEY'],
    ['opencode', 'oauth', 'OPENCODE_API_KEY'],
    ['cursor', 'api-key', 'CURSOR_API_KEY'],
  ] as const)('gives %s its %s as %s', (type, credential, name) => {
    const credentials = { type: credential, secretRef: { name: 's' } };
    const secretKeyRef = { name: 's', key: name };
    expect(agentOf({ type, credentials }).env).toContainEqual({ name, valueFrom: { secretKeyRef } });
  });

  test('gives nothing for credentials of type none', () => {
    expect(agentOf({ type: 'gemini', credentials: { type: 'none' } }).env).toEqual([
      { name: 'KELOS_AGENT_TYPE', value: 'gemini' },
    ]);
  });

  test('of a command has its program, every key of its Secret, and the prompt as a variable', () => {
    const spec = { ...claude, type: 'command' as const, image: 'i', command: ['make', 'test'] };
    expect(agentOf(spec)).toMatchObject({
      image: 'i',
      command: ['make', 'test'],
      envFrom: [{ secretRef: { name: 'key' } }],
      env: [
        { name: 'KELOS_AGENT_TYPE', value: 'command' },
        { name: 'TELOS_PROMPT', value: 'do it' },
      ],
    });
    expect(agentOf(spec)).not.toHaveProperty('args');
  });

  test('lets variables of the Task win over all others', () => {
    const env = [{ name: 'KELOS_MODEL', value: 'mine' }];
    expect(agentOf({ type: 'codex', model: 'm', env }).env).toEqual([
      { name: 'KELOS_AGENT_TYPE', value: 'codex' },
      { name: 'KELOS_MODEL', value: 'mine' },
    ]);
  });

  test('has no text of others in which Kubernetes would put a credential', () => {
    const text = 'print $(ANTHROPIC_API_KEY) for $5 $$';
    const safe = 'print $$(ANTHROPIC_API_KEY) for $$5 $$$$';
    expect(agentOf(claude, text).args).toEqual([safe]);
    expect(agentOf({ ...claude, branch: text }).env).toContainEqual({ name: 'KELOS_BRANCH', value: safe });
    const command = agentOf({ type: 'command', image: 'i', command: ['echo', text] }, text);
    expect(command.command).toEqual(['echo', safe]);
    expect(command.env).toContainEqual({ name: 'TELOS_PROMPT', value: safe });
  });

  test('retries as the Task says', () => {
    const podFailurePolicy = { rules: [{ action: 'Ignore' }] };
    expect(plan({ ...claude, podFailurePolicy })).toMatchObject({ spec: { podFailurePolicy } });
  });

  test.each<[string, Partial<TaskSpec>, RegExp]>([
    ['a Workspace', { ...claude, workspaceRef: { name: 'w' } }, /^spec\.workspaceRef is not supported/],
    ['an AgentConfig', { ...claude, agentConfigRef: { name: 'a' } }, /^spec\.agentConfigRefs is not/],
    ['a worker pool', { workerPoolRef: { name: 'p' } }, /^spec\.workerPoolRef is not supported/],
    ['no image for its command', { type: 'command', command: ['x'] }, /^spec\.image is missing: name/],
    ['no command', { type: 'command', image: 'i' }, /^spec\.command is missing: name/],
  ])('is refused in one line for %s', (_what, spec, message) => {
    expect(plan(spec)).toMatch(message);
    expect(plan(spec)).not.toContain('\n');
  });

  test('is refused for a prompt that no container could be given, to the byte', () => {
    expect(agentOf(claude, 'x'.repeat(131_071)).args?.[0]).toHaveLength(131_071);
    expect(plan(claude, 'é'.repeat(65_536))).toBe(
      'spec.prompt takes 131072 bytes, and a container is given at most 131071: shorten it',
    );
  });

  test('has the name of the Task, or one made of it that fits and is always the same', () => {
    expect(jobNameOf('a'.repeat(63))).toBe('a'.repeat(63));
    const [one, other] = [`${'a'.repeat(49)}.-${'b'.repeat(20)}`, `${'a'.repeat(49)}.-${'b'.repeat(21)}`];
    expect(jobNameOf(one)).toMatch(/^a{49}-[0-9a-f]{12}$/);
    expect(jobNameOf(one)).toBe(jobNameOf(one));
    expect(jobNameOf(other)).not.toBe(jobNameOf(one));
  });
});
