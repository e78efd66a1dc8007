import { describe, expect, test } from 'vitest';
import type { Draft } from '../../src/api/kinds.ts';
import type { TaskSpawnerSpec, TaskTemplate } from '../../src/api/task-spawner.ts';
import { type Built, buildTask } from '../../src/spawn/build-task.ts';
import { planSpawner } from '../../src/spawn/spawner-plan.ts';
import type { WorkItem } from '../../src/spawn/work-item.ts';
import { storedSpawner, webhookSpec } from './fixtures.ts';

const item: WorkItem = {
  name: { kind: 'id', id: '7' },
  variables: {
    ID: '7',
    Title: 'fix it',
    Body: 'it\'s; $(rm -rf) `x`\n"y"',
    Payload: { deep: { list: ['a'] } },
  },
};

function build(
  taskTemplate: TaskTemplate,
  rest: Partial<TaskSpawnerSpec> = {},
  from: WorkItem = item,
): Built {
  const spawner = storedSpawner({ ...webhookSpec, ...rest, taskTemplate });
  const planned = planSpawner(spawner.spec);
  if (!planned.ok) throw new Error(planned.message);
  return buildTask({ spawner, templates: planned.plan.templates, item: from, number: 3 });
}

function draft(...args: Parameters<typeof build>): Draft<'Task'> {
  const built = build(...args);
  if (!built.ok) throw new Error(built.reason);
  return built.draft;
}

const agent: TaskTemplate = { type: 'claude-code', credentials: { type: 'none' } };

describe('the Task of a work item', () => {
  test('asks for the title unless promptTemplate says otherwise', () => {
    expect(draft(agent).spec.prompt).toBe('fix it');
    expect(
      draft({ ...agent, promptTemplate: 'Do {{.Title}} ({{index .Payload.deep.list 0}})' }).spec.prompt,
    ).toBe('Do fix it (a)');
  });

  test('takes the fields of its template as they stand', () => {
    const fields = {
      ...agent,
      model: 'm',
      env: [{ name: 'A', value: '{{.Title}}' }],
      workingDir: '/{{.ID}}',
      ttlSecondsAfterFinished: 0,
      dependsOn: ['other'],
    };
    expect(draft({ ...fields, promptTemplate: 'p', nameTemplate: 'n-{{.ID}}', metadata: {} }).spec).toEqual({
      ...fields,
      prompt: 'p',
    });
  });

  test('of type command has each element rendered to exactly one argument', () => {
    const command = ['sh', '-c', '{{.Body}}', '{{.Title}} {{.ID}}', '{{if false}}x{{end}}'];
    expect(draft({ type: 'command', command }).spec.command).toEqual([
      'sh',
      '-c',
      item.variables['Body'],
      'fix it 7',
      '',
    ]);
  });

  test('of type command is not made when an argument would hold a NUL', () => {
    const from = { ...item, variables: { ...item.variables, Title: 'a\0b' } };
    expect(build({ type: 'command', command: ['echo', '{{.Title}}'] }, {}, from)).toEqual({
      ok: false,
      reason: 'spec.taskTemplate.command[1]: renders a NUL, which no argument can hold',
    });
  });

  test('belongs to its TaskSpawner, by label, owner and number', () => {
    expect(draft({ ...agent, branch: 'fix/{{.ID}}' })).toMatchObject({
      kind: 'Task',
      metadata: {
        name: 's-7',
        namespace: 'default',
        labels: { 'kelos.dev/taskspawner': 's' },
        annotations: { 'telos.dev/task-number': '3' },
        ownerReferences: [
          {
            apiVersion: 'kelos.dev/v1alpha2',
            kind: 'TaskSpawner',
            name: 's',
            uid: 'uid-of-s',
            controller: true,
          },
        ],
      },
      spec: { branch: 'fix/7' },
    });
  });

  test('has templated label and annotation values; its TaskSpawner and its source win', () => {
    const metadata = {
      labels: { a: 'x-{{.ID}}', 'kelos.dev/taskspawner': 'forged' },
      annotations: { b: '{{.Title}}', 'kelos.dev/source-number': 'forged', 'telos.dev/task-number': '99' },
    };
    const from = { ...item, annotations: { 'kelos.dev/source-number': '7' } };
    expect(draft({ ...agent, metadata }, {}, from).metadata).toMatchObject({
      labels: { a: 'x-7', 'kelos.dev/taskspawner': 's' },
      annotations: { b: 'fix it', 'kelos.dev/source-number': '7', 'telos.dev/task-number': '3' },
    });
  });

  test('carries the hooks of spec.onCompletion, and the finalizer that waits for them', () => {
    const hooks = [{ name: 'n', phases: ['Failed' as const], webhook: { url: 'https://example.com/a?b&c' } }];
    const { metadata } = draft(agent, { onCompletion: { hooks } });
    expect(JSON.parse(metadata.annotations?.['kelos.dev/on-completion'] ?? '')).toEqual(hooks);
    expect(metadata.finalizers).toEqual(['telos.dev/on-completion']);
  });

  test('carries hooks that stand in its template’s annotations, with the finalizer too', () => {
    const annotations = {
      'kelos.dev/on-completion': '[{"name":"n","webhook":{"url":"https://example.com/{{.ID}}"}}]',
    };
    const { metadata } = draft({ ...agent, metadata: { annotations } });
    expect(metadata.annotations?.['kelos.dev/on-completion']).toBe(
      '[{"name":"n","webhook":{"url":"https://example.com/7"}}]',
    );
    expect(metadata.finalizers).toEqual(['telos.dev/on-completion']);
  });

  test('has no finalizer without hooks', () => {
    expect(draft(agent).metadata.finalizers).toBeUndefined();
  });

  test('is held back when maxConcurrency is set, and only then', () => {
    expect(draft(agent, { maxConcurrency: 1 }).spec.suspend).toBe(true);
    expect(draft(agent, { maxConcurrency: 0 }).spec.suspend).toBeUndefined();
    expect(draft(agent).spec.suspend).toBeUndefined();
  });

  test('may be named by nameTemplate', () => {
    expect(draft({ ...agent, nameTemplate: 'Fix {{.Title}} #{{.ID}}' }).metadata.name).toBe('fix-fix-it--7');
  });

  test.each(['{{.Context}}', '{{index . "Nope"}}', '{{if false}}x{{end}}', '???'])(
    'is not made when nameTemplate %s gives no name',
    (nameTemplate) => {
      expect(build({ ...agent, nameTemplate })).toMatchObject({
        ok: false,
        reason: expect.stringMatching(/^spec\.taskTemplate\.nameTemplate: /),
      });
    },
  );

  test('is not made when a template uses what the item does not have; the reason has line and column', () => {
    const built = build({ ...agent, promptTemplate: 'one\n  {{.Nope}}' });
    expect(built).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^spec\.taskTemplate\.promptTemplate: .*2:\d+.*Nope/),
    });
  });

  test('of a TaskSpawner with a name too long for a label names it in an annotation', () => {
    const name = 'n'.repeat(70);
    const planned = planSpawner({ ...webhookSpec, taskTemplate: agent });
    if (!planned.ok) throw new Error(planned.message);
    const plain = storedSpawner({ ...webhookSpec, taskTemplate: agent });
    const spawner = { ...plain, metadata: { ...plain.metadata, name } };
    const built = buildTask({ spawner, templates: planned.plan.templates, item, number: 1 });
    expect(built.ok && built.draft.metadata.labels).toEqual({});
    expect(built.ok && built.draft.metadata.annotations).toMatchObject({
      'kelos.dev/created-from-taskspawner': name,
    });
  });
});

describe('a TaskSpawner that cannot be worked', () => {
  test.each<[string, Partial<TaskSpawnerSpec>]>([
    ['spec.when.githubIssues: this version', { when: { githubIssues: {} } }],
    ['spec.when.slack: this version', { when: { slack: {} } }],
    ['spec.when.cron.schedule: "x": it has 1', { when: { cron: { schedule: 'x' } } }],
    [
      'spec.taskTemplate.contextSources: this version',
      { taskTemplate: { ...agent, contextSources: [{ name: 'c', http: { url: 'https://example.com' } }] } },
    ],
    ['spec.credentials: this version', { credentials: [{ name: 'a' }] }],
    ['spec.taskTemplate.promptTemplate: ', { taskTemplate: { ...agent, promptTemplate: 'a\n{{.Title' } }],
    [
      'spec.taskTemplate.metadata.annotations.a: ',
      { taskTemplate: { ...agent, metadata: { annotations: { a: '{{end}}' } } } },
    ],
  ])('says %s…', (message, spec) => {
    expect(planSpawner({ ...webhookSpec, ...spec })).toMatchObject({
      ok: false,
      message: expect.stringContaining(message),
    });
  });
});
