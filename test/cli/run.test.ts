import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../src/api/task.ts';
import { logPath } from '../../src/run/process/process-runner.ts';
import { makeSandbox, type Sandbox, spawnerManifest } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await makeSandbox();
});
afterEach(() => sandbox.close());

const key = { namespace: 'default', name: 'x' };

function task(): Promise<Task> {
  return sandbox.store.get('Task', key);
}

function setStatus(status: Task['status']): Promise<unknown> {
  return sandbox.store.patch('Task', key, { status }, { subresource: 'status' });
}

describe('run', () => {
  test('makes a command Task of what stands after --, flags of the program included', async () => {
    const { stdout } = await sandbox.telos([
      'run',
      '--name',
      'x',
      '--env',
      'A=b=c',
      '--',
      'git',
      'log',
      '-n',
      '3',
    ]);
    expect(stdout).toBe('task/x created\n');
    expect((await task()).spec).toMatchObject({
      type: 'command',
      command: ['git', 'log', '-n', '3'],
      env: [{ name: 'A', value: 'b=c' }],
    });
  });

  test('makes a Task for an agent of a prompt, whatever the prompt begins with', async () => {
    await sandbox.telos(['run', '--name', 'x', '-p', '-n is a flag; explain it', '--model', 'm']);
    expect((await task()).spec).toMatchObject({
      type: 'claude-code',
      prompt: '-n is a flag; explain it',
      model: 'm',
    });
  });

  test('makes up a name', async () => {
    const { stdout } = await sandbox.telos(['run', '-o', 'name', '--', 'true']);
    expect(stdout).toMatch(/^task\/task-[a-z0-9]{5}\n$/);
  });

  test('stamps hooks, and the finalizer that keeps the Task until they are recorded', async () => {
    const urls = ['https://a.example/x', 'https://b.example/y'];
    await sandbox.telos(['run', '--name', 'x', ...urls.flatMap((url) => ['--hook', url]), '--', 'true']);
    const { metadata } = await task();
    expect(JSON.parse(metadata.annotations?.['kelos.dev/on-completion'] ?? '')).toEqual([
      { name: 'run-1', webhook: { url: urls[0] } },
      { name: 'run-2', webhook: { url: urls[1] } },
    ]);
    expect(metadata.finalizers).toEqual(['telos.dev/on-completion']);
  });

  test.each(['http://a.example', 'https://user:pw@a.example/', 'ftp://x'])(
    'refuses %s as a hook without repeating it',
    async (url) => {
      const result = await sandbox.telos(['run', '--hook', url, '--', 'true']);
      expect(result).toEqual({
        exitCode: 2,
        stdout: '',
        stderr: 'error: not a URL that hooks may have: --hook: write https://… without user or password\n',
      });
    },
  );

  test('takes template and hooks of a TaskSpawner, and says where it came from', async () => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('nightly') });
    await sandbox.telos([
      'run',
      '--name',
      'x',
      '--from',
      'taskspawner/nightly',
      '--hook',
      'https://a.example/',
    ]);
    const { metadata, spec } = await task();
    expect(spec).toMatchObject({ type: 'command', command: ['echo', 'hello'] });
    expect(metadata.annotations).toMatchObject({
      'kelos.dev/created-from-taskspawner': 'nightly',
      'kelos.dev/trigger-type': 'manual',
    });
    const hooks = JSON.parse(metadata.annotations?.['kelos.dev/on-completion'] ?? '') as { name: string }[];
    expect(hooks.map((hook) => hook.name)).toEqual(['oncall', 'run-1']);
  });

  test('does not start what only a work item can fill in', async () => {
    const manifest = spawnerManifest('nightly').replace('[echo, hello]', '[echo, "{{.Title}}"]');
    await sandbox.telos(['apply', '-f', '-'], { stdin: manifest });
    const result = await sandbox.telos(['run', '--from', 'taskspawner/nightly']);
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('work item') });
  });

  test('waits with -w: phases, then outputs; exit 0 when it Succeeded', async () => {
    const result = await sandbox.telos(['run', '--name', 'x', '-w', '--', 'true'], {
      onOutput: (output) => {
        if (output.endsWith('Pending\n')) void setStatus({ phase: 'Running' });
        if (output.endsWith('Running\n')) void setStatus({ phase: 'Succeeded', outputs: ['branch: b'] });
      },
    });
    expect(result).toEqual({
      exitCode: 0,
      stdout: 'task/x created\ntask/x Pending\ntask/x Running\ntask/x Succeeded\nbranch: b\n',
      stderr: '',
    });
  });

  test('waits with -w: exit 1 when it Failed, with the reason', async () => {
    const result = await sandbox.telos(['run', '--name', 'x', '-w', '--', 'false'], {
      onOutput: (output) => {
        if (output.endsWith('Pending\n')) void setStatus({ phase: 'Failed', message: 'exit status 1' });
      },
    });
    expect(result).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('task/x Failed: exit status 1\n'),
    });
  });
});

describe('logs', () => {
  async function writeLog(text: string): Promise<string> {
    const path = logPath(`${sandbox.storePath}.runs`, (await task()).metadata.uid);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  test('shows what the program printed, byte for byte when piped', async () => {
    await sandbox.telos(['run', '--name', 'x', '--', 'true']);
    await writeLog('one\n\u001b[31mtwo\n');
    for (const args of [['task/x'], ['x'], ['tasks', 'x']]) {
      expect((await sandbox.telos(['logs', ...args])).stdout).toBe('one\n\u001b[31mtwo\n');
    }
    const { stdout } = await sandbox.telos(['logs', 'x'], { terminal: true });
    expect(stdout).toBe('one\n\\x1b[31mtwo\n');
  });

  test('follows with -f until the Task has ended, and misses nothing of its end', async () => {
    await sandbox.telos(['run', '--name', 'x', '--', 'true']);
    const path = await writeLog('one\n');
    const result = await sandbox.telos(['logs', 'x', '-f'], {
      onOutput: (output) => {
        if (output !== 'one\n') return;
        void appendFile(path, 'two\n').then(() => setStatus({ phase: 'Succeeded' }));
      },
    });
    expect(result).toEqual({ exitCode: 0, stdout: 'one\ntwo\n', stderr: '' });
  });

  test('says so when there is none', async () => {
    await sandbox.telos(['run', '--name', 'x', '--', 'true']);
    expect(await sandbox.telos(['logs', 'x'])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'error: there is no log: task/x (Pending): wait for it with -f\n',
    });
  });
});
