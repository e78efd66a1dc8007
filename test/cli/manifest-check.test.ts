import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSandbox, type Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await makeSandbox();
});
afterAll(() => sandbox.close());

const wrong = `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: wrong}
spec:
  when:
    webhook:
      source: events
      fieldMapping:
        id: $.id
        title: $.[
      filters:
        - {field: $.a, value: x}
        - field: $.b
          pattern: "(?<=x)"
      excludeFilters:
        - {field: "$..[?", value: x}
  taskTemplate:
    type: command
    promptTemplate: |
      one
      {{.Title
    branch: "{{end}}"
    command: [echo, "{{nobody 1}}"]
    metadata:
      labels: {"a.b/c": "{{"}
      annotations:
        note: "{{if}}"
  onCompletion:
    hooks:
      - name: a
        filter: "task.phase =="
        webhook: {url: "https://a.example/"}
      - name: b
        webhook:
          url: https://b.example/
          template: "{{json .task"
`;

describe('validate and apply', () => {
  test('find what would only show when an event comes in or a Task has ended, each with its place', async () => {
    // A filter that is no CEL is found with the schema; the rest is looked at once that is right.
    const { stderr } = await sandbox.telos(['validate', '-f', '-'], { stdin: wrong });
    expect(stderr).toMatch(
      /^error: stdin:31:9: spec\.onCompletion\.hooks\[0\]\.filter: is not a CEL[^\n]*\n$/,
    );
    const stdin = wrong.replace('"task.phase =="', 'task.phase == "Failed"');
    const applied = await sandbox.telos(['apply', '-f', '-'], { stdin });
    const places = applied.stderr
      .trimEnd()
      .split('\n')
      .map((line) => /^error: stdin:(\d+:\d+: \S+):/.exec(line)?.[1] ?? line);
    expect(places).toEqual([
      '10:9: spec.when.webhook.fieldMapping.title',
      '14:11: spec.when.webhook.filters[1].pattern',
      '16:12: spec.when.webhook.excludeFilters[0].field',
      '19:5: spec.taskTemplate.promptTemplate',
      '22:5: spec.taskTemplate.branch',
      '23:21: spec.taskTemplate.command[1]',
      '25:16: spec.taskTemplate.metadata.labels["a.b/c"]',
      '27:9: spec.taskTemplate.metadata.annotations.note',
      '36:11: spec.onCompletion.hooks[1].webhook.template',
    ]);
    expect(applied).toMatchObject({ exitCode: 1, stdout: '' });
    expect((await sandbox.telos(['get', 'ts'])).stderr).toContain('No resources');
  });

  test.each([
    ['99 * * * *', 'Invalid value for minute'],
    ['* * * * * *', 'it has 6 field(s) instead of five'],
    ['0 3 * * L', '"L" is not understood'],
  ])('refuse the schedule %s', async (schedule, why) => {
    const stdin = `{apiVersion: kelos.dev/v1alpha2, kind: TaskSpawner, metadata: {name: a},
spec: {when: {cron: {schedule: "${schedule}"}}, taskTemplate: {type: command, command: [x]}}}`;
    const { stderr, exitCode } = await sandbox.telos(['validate', '-f', '-'], { stdin });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error: stdin:2:22: spec\.when\.cron\.schedule: [^\n]+\n$/);
    expect(stderr).toContain(why);
  });

  test('find a template that is none in hooks that stand in an annotation', async () => {
    const hooks = JSON.stringify([{ name: 'a', webhook: { url: 'https://a.example/', template: '{{' } }]);
    // In a Task the text is as it stands; in a TaskSpawner "{{" makes the annotation itself a template.
    const stdin = `apiVersion: kelos.dev/v1alpha2
kind: Task
metadata:
  name: a
  annotations:
    kelos.dev/on-completion: '${hooks}'
spec: {type: command, command: [x]}
`;
    const { stderr } = await sandbox.telos(['validate', '-f', '-'], { stdin });
    expect(stderr).toMatch(
      /^error: stdin:6:5: metadata\.annotations\["kelos\.dev\/on-completion"\]: hooks\[0\]\.webhook\.template: 1:\d+: [^\n]+\n$/,
    );
  });
});
