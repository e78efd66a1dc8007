import { describe, expect, test } from 'vitest';
import type { Secret } from '../../src/api/secret.ts';
import type { TaskSpec } from '../../src/api/task.ts';
import { type Launch, type Plan, planLaunch } from '../../src/run/process/agents.ts';
import { taskOf } from './fixtures.ts';

const secret = (data: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: taskOf('s', {}, 'u').metadata,
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
});

function plan(
  spec: Partial<TaskSpec>,
  options: { inherited?: Record<string, string>; secret?: Secret; labels?: Record<string, string> } = {},
): Promise<Plan> {
  const task = taskOf('t', spec, 'u');
  const { labels } = options;
  return planLaunch(
    {
      task: { ...task, metadata: { ...task.metadata, ...(labels === undefined ? {} : { labels }) } },
      prompt: spec.prompt ?? '',
      readSecret: async () => options.secret,
    },
    options.inherited ?? {},
  );
}

async function launch(...args: Parameters<typeof plan>): Promise<Launch> {
  const made = await plan(...args);
  if (made.kind !== 'ready') throw new Error(made.message);
  return made.launch;
}

describe('the program', () => {
  test.each<[string, string[]]>([
    [
      'claude-code',
      [
        'claude',
        '--dangerously-skip-permissions',
        '--output-format',
        'stream-json',
        '--verbose',
        '-p',
        'do it',
        '--model',
        'm',
        '--effort',
        'high',
      ],
    ],
    [
      'codex',
      ['codex', 'exec', '--dangerously-bypass-approvals-and-sandbox', '--json', '--model', 'm', 'do it'],
    ],
    ['gemini', ['gemini', '--yolo', '--output-format', 'stream-json', '--model', 'm', '-p', 'do it']],
    ['opencode', ['opencode', 'run', '--format', 'json', '--model', 'm', 'do it']],
    [
      'cursor',
      [
        'agent',
        '-p',
        '--force',
        '--trust',
        '--sandbox',
        'disabled',
        '--output-format',
        'stream-json',
        '--model',
        'm',
        'do it',
      ],
    ],
  ])('of %s', async (type, argv) => {
    const made = await launch({
      worker: { type: type as 'codex', model: 'm', effort: 'high' },
      prompt: 'do it',
    });
    expect(made).toMatchObject({ argv, stdin: '' });
  });

  test('of a command is the command itself, with the prompt on stdin', async () => {
    const made = await launch({
      command: ['make', 'test; rm -rf /'],
      prompt: 'p',
      podOverrides: { activeDeadlineSeconds: 5 },
    });
    expect(made).toMatchObject({ argv: ['make', 'test; rm -rf /'], stdin: 'p', deadlineMs: 5000 });
  });

  test.each(['claude-code', 'codex', 'gemini', 'opencode', 'cursor'] as const)(
    'of %s cannot be given options by a prompt',
    async (type) => {
      const { argv } = await launch({ type, prompt: '--mcp-config=evil' });
      expect(argv).toContain(' --mcp-config=evil');
    },
  );
});

describe('the environment', () => {
  test('has what the engine has, without what is meant for Telos', async () => {
    const { env } = await launch(
      { command: ['x'], branch: 'b' },
      { inherited: { HOME: '/h', TELOS_EGRESS_ALLOW: '*' }, labels: { 'kelos.dev/taskspawner': 's' } },
    );
    expect(env).toEqual({
      HOME: '/h',
      KELOS_AGENT_TYPE: 'command',
      KELOS_BRANCH: 'b',
      KELOS_TASKSPAWNER: 's',
    });
  });

  test('is set by podOverrides, except what is set already, and by spec.env over all', async () => {
    const { env } = await launch(
      {
        command: ['x'],
        podOverrides: {
          env: [
            { name: 'HOME', value: '/p' },
            { name: 'KELOS_AGENT_TYPE', value: 'p' },
            { name: 'A', value: 'p' },
          ],
        },
        env: [{ name: 'A', value: 'e' }, { name: 'EMPTY' }],
      },
      { inherited: { HOME: '/h' } },
    );
    expect(env).toEqual({ HOME: '/p', KELOS_AGENT_TYPE: 'command', A: 'e', EMPTY: '' });
  });

  test('has the credentials under the name the agent knows', async () => {
    const made = await launch(
      { type: 'claude-code', prompt: 'p', credentials: { type: 'oauth', secretRef: { name: 's' } } },
      { secret: secret({ CLAUDE_CODE_OAUTH_TOKEN: 'tok', OTHER: 'x' }) },
    );
    expect(made.env['CLAUDE_CODE_OAUTH_TOKEN']).toBe('tok');
    expect(made.env['OTHER']).toBeUndefined();
    expect(made.hidden).toEqual(['tok']);
  });

  test('of a command has every key of its credentials that can be a variable', async () => {
    const { env } = await launch(
      { command: ['x'], credentials: { type: 'api-key', secretRef: { name: 's' } } },
      { secret: secret({ API_KEY: 'k', 'not.a.name': 'x' }) },
    );
    expect(env).toEqual({ API_KEY: 'k', KELOS_AGENT_TYPE: 'command' });
  });

  test('goes without an optional key', async () => {
    const { env } = await launch({
      command: ['x'],
      env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: true } } }],
    });
    expect(env).toEqual({ KELOS_AGENT_TYPE: 'command' });
  });
});

describe('a Task that cannot be run here', () => {
  const keyRef = { secretKeyRef: { name: 's', key: 'k' } };
  test.each<[string, Partial<TaskSpec>, Plan['kind'], string]>([
    ['a workspace', { workspaceRef: { name: 'w' } }, 'refused', 'spec.workspaceRef is not supported'],
    [
      'an AgentConfig',
      { agentConfigRefs: [{ name: 'w' }] },
      'refused',
      'spec.agentConfigRefs is not supported',
    ],
    ['a worker pool', { workerPoolRef: { name: 'w' } }, 'refused', 'spec.workerPoolRef is not supported'],
    ['a relative directory', { workingDir: 'a' }, 'refused', 'spec.workingDir must be an absolute path'],
    [
      'a field of a Pod',
      { env: [{ name: 'A', valueFrom: { fieldRef: {} } as never }] },
      'refused',
      'spec.env[0].valueFrom',
    ],
    ['a name with =', { env: [{ name: 'A=B' }] }, 'refused', 'spec.env[0].name'],
    ['a missing Secret', { env: [{ name: 'A', valueFrom: keyRef }] }, 'waiting', 'there is no Secret s'],
  ])('%s', async (_title, spec, kind, message) => {
    const made = await plan({ command: ['x'], ...spec });
    expect(made).toMatchObject({ kind, message: expect.stringContaining(message) });
  });

  test('a Secret without the key is waited for, and its values are not told', async () => {
    const made = await plan(
      { command: ['x'], env: [{ name: 'A', valueFrom: keyRef }] },
      { secret: secret({ o: 'xyz' }) },
    );
    expect(made).toEqual({ kind: 'waiting', message: 'spec.env[0]: Secret s has no key k; add it' });
  });
});
