import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Stopped } from '../../src/cli/program.ts';
import { makeSandbox, type Sandbox, spawnerManifest } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await makeSandbox();
});
afterEach(() => sandbox.close());

const command = { type: 'command', command: ['true'] } as const;

async function createTask(
  name: string,
  namespace = 'default',
  labels?: Record<string, string>,
): Promise<void> {
  await sandbox.store.create<'Task'>({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) },
    spec: { ...command, command: ['true'] },
  });
}

describe('get', () => {
  test('finds a kind by every name it has', async () => {
    await createTask('a');
    for (const kind of ['tasks', 'task', 'tk', 'Task', 'tasks.kelos.dev']) {
      expect((await sandbox.telos(['get', kind, '-o', 'name'])).stdout).toBe('task/a\n');
    }
  });

  test('takes KIND NAME and KIND/NAME, and then shows that object', async () => {
    await createTask('a');
    await createTask('b');
    for (const args of [['task', 'a'], ['task/a']]) {
      const { stdout } = await sandbox.telos(['get', ...args, '-o', 'json']);
      expect(JSON.parse(stdout)).toMatchObject({ kind: 'Task', metadata: { name: 'a' } });
    }
  });

  test('shows several as a List', async () => {
    await createTask('a');
    await createTask('b');
    for (const args of [['tasks'], ['task', 'a', 'b'], ['task/a', 'task/b']]) {
      const { stdout } = await sandbox.telos(['get', ...args, '-o', 'yaml']);
      const list = parse(stdout);
      expect(list).toMatchObject({ apiVersion: 'v1', kind: 'List' });
      expect(list.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual([
        'a',
        'b',
      ]);
    }
  });

  test('shows none as an empty List, and a note instead of an empty table', async () => {
    const list = await sandbox.telos(['get', 'tasks', '-o', 'json']);
    expect(JSON.parse(list.stdout)).toEqual({ apiVersion: 'v1', kind: 'List', items: [] });
    expect(await sandbox.telos(['get', 'tasks'])).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'No resources found in default namespace.\n',
    });
  });

  test('keeps to its namespace, unless all are asked for', async () => {
    await createTask('a');
    await createTask('b', 'other');
    expect((await sandbox.telos(['get', 'tasks', '-o', 'name'])).stdout).toBe('task/a\n');
    expect((await sandbox.telos(['get', 'tasks', '-n', 'other', '-o', 'name'])).stdout).toBe('task/b\n');
    const { stdout } = await sandbox.telos(['get', 'tasks', '-A']);
    expect(stdout).toMatch(/^NAMESPACE +NAME.*\ndefault +a .*\nother +b .*\n$/);
  });

  test('chooses by labels', async () => {
    await createTask('a', 'default', { team: 'x' });
    await createTask('b', 'default', { team: 'y' });
    expect((await sandbox.telos(['get', 'tasks', '-l', 'team!=x', '-o', 'name'])).stdout).toBe('task/b\n');
    const bad = await sandbox.telos(['get', 'tasks', '-l', 'team in x']);
    expect(bad.exitCode).toBe(2);
    expect(bad.stderr).toMatch(/^error: not a label selector: .*\n$/);
  });

  test('says which resource is not there, and exits with 1', async () => {
    expect(await sandbox.telos(['get', 'task', 'nobody'])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'error: not found: task/nobody in namespace default: see telos get tasks -A\n',
    });
  });

  test('shows several kinds as one table each', async () => {
    await createTask('a');
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('s') });
    const { stdout } = await sandbox.telos(['get', 'ts,tasks']);
    expect(stdout).toMatch(/^NAME .*\ntaskspawner\/s .*\n\nNAME .*\ntask\/a .*\n$/);
  });

  test('shows the values of a Secret only when the object is asked for, in base64', async () => {
    await sandbox.telos(['apply', '-f', '-'], {
      stdin: 'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {token: canary-value}\n',
    });
    const encoded = Buffer.from('canary-value').toString('base64');
    expect(parse((await sandbox.telos(['get', 'secret', 's', '-o', 'yaml'])).stdout).data).toEqual({
      token: encoded,
    });
    for (const args of [
      ['get', 'secrets'],
      ['get', 'secrets', '-o', 'wide'],
      ['describe', 'secret', 's'],
    ]) {
      const { stdout } = await sandbox.telos(args);
      expect(stdout).toContain('s');
      expect(stdout).not.toContain('canary-value');
      expect(stdout).not.toContain(encoded);
    }
  });

  test('lets no control character through, in any format, and loses none in objects', async () => {
    const message = 'a\u001b[2Jb\u009bc\u202ed\u0000\u{e0001}';
    await createTask('a');
    await sandbox.store.patch(
      'Task',
      { namespace: 'default', name: 'a' },
      { status: { message } },
      { subresource: 'status' },
    );
    for (const format of ['wide', 'json', 'yaml']) {
      const { stdout } = await sandbox.telos(['get', 'task', 'a', '-o', format], { terminal: true });
      expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      if (format !== 'wide') expect(parse(stdout).status.message).toBe(message);
    }
    const { stdout } = await sandbox.telos(['describe', 'task', 'a'], { terminal: true });
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  test('watches: the table first, then every change, until Ctrl-C', async () => {
    await createTask('a');
    const stop = new AbortController();
    const watching = sandbox.telos(['get', 'tasks', '-w', '-o', 'name'], {
      signal: stop.signal,
      onOutput: (output) => {
        if (output === 'task/a\n') void createTask('b');
        if (output === 'task/a\ntask/b\n') {
          void sandbox.store.delete('Task', { namespace: 'default', name: 'b' });
        }
        if (output === 'task/a\ntask/b\ntask/b\n') stop.abort(new Stopped('SIGINT'));
      },
    });
    expect(await watching).toEqual({ exitCode: 130, stdout: 'task/a\ntask/b\ntask/b\n', stderr: '' });
  });
});

describe('delete', () => {
  test('by name, by labels, all of a kind, and by manifest', async () => {
    const names = async (): Promise<string> => (await sandbox.telos(['get', 'tasks', '-o', 'name'])).stdout;
    for (const name of ['a', 'b', 'c']) await createTask(name, 'default', { name });
    expect((await sandbox.telos(['delete', 'task/a'])).stdout).toBe('task/a deleted\n');
    expect((await sandbox.telos(['delete', 'tasks', '-l', 'name=b'])).stdout).toBe('task/b deleted\n');
    expect(await names()).toBe('task/c\n');
    expect((await sandbox.telos(['delete', 'tasks', '--all'])).stdout).toBe('task/c deleted\n');
    const path = await sandbox.file('s.yaml', spawnerManifest('s'));
    await sandbox.telos(['apply', '-f', path]);
    expect((await sandbox.telos(['delete', '-f', path])).stdout).toBe('taskspawner/s deleted\n');
  });

  test('what is not there is an error, unless told otherwise', async () => {
    expect((await sandbox.telos(['delete', 'task', 'a'])).exitCode).toBe(1);
    expect(await sandbox.telos(['delete', 'task', 'a', '--ignore-not-found'])).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('waits until the last finalizer is gone', async () => {
    const key = { namespace: 'default', name: 'held' };
    await createTask('held');
    await sandbox.store.patch('Task', key, { metadata: { finalizers: ['test.dev/hold'] } });
    const quick = await sandbox.telos(['delete', 'task', 'held', '--no-wait']);
    expect(quick).toEqual({ exitCode: 0, stdout: 'task/held is being deleted\n', stderr: '' });
    const { stdout } = await sandbox.telos(['delete', 'task', 'held'], {
      onNote: (notes) => {
        expect(notes).toContain('test.dev/hold');
        void sandbox.store.patch('Task', key, { metadata: { finalizers: null } });
      },
    });
    expect(stdout).toBe('task/held deleted\n');
    expect((await sandbox.store.list('Task')).items).toEqual([]);
  });
});

describe('small changes', () => {
  test('suspend and resume', async () => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('s') });
    const suspended = async (): Promise<unknown> =>
      (await sandbox.store.get('TaskSpawner', { namespace: 'default', name: 's' })).spec.suspend;
    expect((await sandbox.telos(['suspend', 'taskspawner/s'])).stdout).toBe('taskspawner/s suspended\n');
    expect(await suspended()).toBe(true);
    expect((await sandbox.telos(['resume', 'ts', 's'])).stdout).toBe('taskspawner/s resumed\n');
    expect(await suspended()).toBe(false);
    expect((await sandbox.telos(['suspend', 'secret/s'])).exitCode).toBe(2);
  });

  test('annotate and label: set, take away, and never replace unasked', async () => {
    await createTask('a');
    await sandbox.telos(['annotate', 'task', 'a', 'telos.dev/skip-completion=true', 'x=1']);
    const refused = await sandbox.telos(['annotate', 'task/a', 'x=2']);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('--overwrite') });
    await sandbox.telos(['annotate', 'task/a', 'x=2', '--overwrite']);
    await sandbox.telos(['label', 'task/a', 'team=x']);
    const { metadata } = await sandbox.store.get('Task', { namespace: 'default', name: 'a' });
    expect(metadata.annotations).toEqual({ 'telos.dev/skip-completion': 'true', x: '2' });
    expect(metadata.labels).toEqual({ team: 'x' });
    await sandbox.telos(['annotate', 'task/a', 'x-']);
    const after = await sandbox.store.get('Task', { namespace: 'default', name: 'a' });
    expect(after.metadata.annotations).toEqual({ 'telos.dev/skip-completion': 'true' });
  });
});

describe('annotate', () => {
  test.each([
    ['{}}', /^error: metadata\.annotations\["kelos\.dev\/on-completion"\]: must be JSON: [^\n]*\n$/],
    ['[{"name":"x","webhook":{"url":"http://x/"}}]', /: hooks\[0\]\.webhook\.url: must be an https URL/],
    [
      '[{"name":"x","filter":"fase == 1","webhook":{"url":"https://x/"}}]',
      /: hooks\[0\]\.filter: does not know fase/,
    ],
    ['[{"name":"x","webhook":{"url":"https://x/","template":"{{"}}]', /: hooks\[0\]\.webhook\.template: /],
  ])('refuses hooks that nobody could be told by: %s', async (hooks, line) => {
    await createTask('hooked');
    const refused = await sandbox.telos(['annotate', 'task/hooked', `kelos.dev/on-completion=${hooks}`]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(line) });
    const { metadata } = await sandbox.store.get('Task', { namespace: 'default', name: 'hooked' });
    expect(metadata.annotations).toBeUndefined();
    await sandbox.store.delete('Task', { namespace: 'default', name: 'hooked' });
  });

  test('takes hooks that are right', async () => {
    await createTask('hooked');
    const hooks =
      '[{"name":"x","filter":"has(task.fase) || task.phase == \'Failed\'","webhook":{"url":"https://x/"}}]';
    const run = await sandbox.telos(['annotate', 'task/hooked', `kelos.dev/on-completion=${hooks}`]);
    expect(run).toMatchObject({ exitCode: 0, stdout: 'task/hooked annotated\n' });
  });
});

describe('a store that cannot be used is one line, exit 1', () => {
  test.each([
    ['a folder', (folder: string) => `sqlite:${folder}`],
    ['not SQLite', (folder: string) => `sqlite:${folder}/text`],
    ['a cluster, as yet', () => 'kubernetes:prod'],
  ])('%s', async (_title, where) => {
    await sandbox.file(
      'text',
      'this is no database, although it is long enough to have a heading of one\n'.repeat(99),
    );
    const result = await sandbox.telos(['get', 'tasks', '--store', where(sandbox.folder)]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  });
});
