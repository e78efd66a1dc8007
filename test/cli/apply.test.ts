import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSandbox, type Sandbox, spawnerManifest } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await makeSandbox();
});
afterEach(() => sandbox.close());

describe('apply', () => {
  test('creates, then finds nothing to change, then configures', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    const said = async (): Promise<string> => (await sandbox.telos(['apply', '-f', path])).stdout;
    expect(await said()).toBe('taskspawner/a created\n');
    expect(await said()).toBe('taskspawner/a unchanged\n');
    await sandbox.file('a.yaml', spawnerManifest('a', '0 4 * * *'));
    expect(await said()).toBe('taskspawner/a configured\n');
  });

  test.each(['cron.yaml', 'webhook.yaml', 'task-with-hooks.yaml', 'oncall-secret.yaml'])(
    'takes the example %s as it is shipped',
    async (name) => {
      const path = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
      const { stdout, stderr, exitCode } = await sandbox.telos(['apply', '-f', path]);
      expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
      expect(stdout).toMatch(/^(\S+ created\n)+$/);
    },
  );

  test('takes files, folders and stdin, with several documents each', async () => {
    await sandbox.file('b.yml', `${spawnerManifest('b1')}---\n${spawnerManifest('b2')}`);
    await sandbox.file(
      'c.json',
      JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'c' } }),
    );
    await sandbox.file('notes.txt', 'no manifest');
    const { stdout, stderr } = await sandbox.telos(['apply', '-f', sandbox.folder, '-f', '-'], {
      stdin: spawnerManifest('d'),
    });
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      'taskspawner/b1 created',
      'taskspawner/b2 created',
      'secret/c created',
      'taskspawner/d created',
      '',
    ]);
  });

  test('applies nothing when one manifest is wrong, and lists every fault with its place', async () => {
    const good = await sandbox.file('1-good.yaml', spawnerManifest('good'));
    const bad = await sandbox.file(
      '2-bad.yaml',
      spawnerManifest('bad').replace('schedule:', 'shedule:').replace('https://', 'http://'),
    );
    const result = await sandbox.telos(['apply', '-f', good, '-f', bad]);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toBe('');
    const lines = result.stderr.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) expect(line).toMatch(/^error: .*2-bad\.yaml:\d+:\d+: spec\./);
    expect(result.stderr).toContain('schedule');
    expect((await sandbox.store.list('TaskSpawner')).items).toEqual([]);
  });

  test('stores nothing in a dry run, but says what it would do', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    expect((await sandbox.telos(['apply', '--dry-run', '-f', path])).stdout).toBe(
      'taskspawner/a created (dry run)\n',
    );
    expect((await sandbox.store.list('TaskSpawner')).items).toEqual([]);
    await sandbox.telos(['apply', '-f', path]);
    await sandbox.file('a.yaml', spawnerManifest('a', '0 4 * * *'));
    expect((await sandbox.telos(['apply', '--dry-run', '-f', path])).stdout).toBe(
      'taskspawner/a configured (dry run)\n',
    );
    const [stored] = (await sandbox.store.list('TaskSpawner')).items;
    expect(stored?.spec.when.cron?.schedule).toBe('0 3 * * *');
  });

  test('takes back what get gave, status and all', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    await sandbox.telos(['apply', '-f', path]);
    for (const format of ['yaml', 'json']) {
      const { stdout } = await sandbox.telos(['get', 'ts', '-o', format]);
      expect((await sandbox.telos(['apply', '-f', '-'], { stdin: stdout })).stdout).toBe(
        'taskspawner/a unchanged\n',
      );
    }
  });

  test('leaves labels and annotations of others alone', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    await sandbox.telos(['apply', '-f', path]);
    await sandbox.telos(['label', 'ts/a', 'owner=me']);
    expect((await sandbox.telos(['apply', '-f', path])).stdout).toBe('taskspawner/a unchanged\n');
    const { metadata } = await sandbox.store.get('TaskSpawner', { namespace: 'default', name: 'a' });
    expect(metadata.labels).toEqual({ team: 'night', owner: 'me' });
  });

  test('puts resources into the namespace asked for, and refuses two opinions about it', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    await sandbox.telos(['apply', '-f', path, '-n', 'night']);
    const [stored] = (await sandbox.store.list('TaskSpawner', { namespace: 'night' })).items;
    expect(stored?.metadata.name).toBe('a');
    const other = await sandbox.file(
      'b.yaml',
      spawnerManifest('b').replace('  name: b', '  name: b\n  namespace: day'),
    );
    const refused = await sandbox.telos(['apply', '-f', other, '-n', 'night']);
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toMatch(
      /^error: the namespace of the manifest is 'day': .*: leave --namespace out.*\n$/,
    );
  });

  test('shows what it stored as asked', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    expect((await sandbox.telos(['apply', '-f', path, '-o', 'name'])).stdout).toBe('taskspawner/a\n');
    const { stdout } = await sandbox.telos(['apply', '-f', path, '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'TaskSpawner', metadata: { name: 'a' } });
  });
});

describe('what cannot be read is one line with the path and a remedy', () => {
  test.each([
    [
      'a path that is not there',
      'nowhere.yaml',
      /^error: no such file or directory: .*nowhere\.yaml: check the path\n$/,
    ],
    [
      'a path through a file',
      'a.yaml/b',
      /^error: a part of the path is not a directory: .*: check the path\n$/,
    ],
    ['a folder without manifests', 'empty', /^error: no manifest: .*empty: put .*\n$/],
    ['a binary file', 'telos.db', /^error: .*telos\.db: .*\n$/],
  ])('%s', async (_title, name, line) => {
    await sandbox.file('a.yaml', spawnerManifest('a'));
    await mkdir(`${sandbox.folder}/empty`);
    const result = await sandbox.telos(['apply', '-f', `${sandbox.folder}/${name}`]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(line);
  });

  test('a file without end', async () => {
    const result = await sandbox.telos(['apply', '-f', '/dev/zero']);
    expect(result).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'error: larger than 16 MiB: /dev/zero: split it into several files\n',
    });
  });
});

describe('validate', () => {
  test('needs no store', async () => {
    const path = await sandbox.file('a.yaml', spawnerManifest('a'));
    const result = await sandbox.telos(['validate', '-f', path], { env: { TELOS_STORE: 'kubernetes' } });
    expect(result).toEqual({ exitCode: 0, stdout: 'taskspawner/a valid\n', stderr: '' });
  });

  test('lists every fault and exits with 1', async () => {
    const path = await sandbox.file('a.yaml', `${spawnerManifest('a')}  maxConcurency: 2\n---\nkind: Tsak\n`);
    const { exitCode, stderr } = await sandbox.telos(['validate', '-f', path]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('maxConcurrency');
    expect(stderr).toContain('did you mean Task?');
  });
});
