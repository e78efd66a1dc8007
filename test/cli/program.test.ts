import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { logPath } from '../../src/run/process/process-runner.ts';
import { buildTelos, ended, startTelos } from '../support/telos-program.ts';
import { until } from '../support/until.ts';
import { makeSandbox, type Sandbox, spawnerManifest } from './sandbox.ts';

let program: string;
let sandbox: Sandbox;
beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  sandbox = await makeSandbox();
});
afterEach(() => sandbox.close());

const env = (): Record<string, string> => ({
  TELOS_STORE: `sqlite:${sandbox.storePath}`,
  HOME: sandbox.folder,
});

describe('the program as it is shipped', () => {
  test('can be started as a file', async () => {
    expect(await readFile(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  test('prints results on stdout, errors on stderr, and exits with 0, 1 and 2', async () => {
    const [done, failed, wrong] = await Promise.all([
      ended(startTelos(program, ['version'], env())),
      ended(startTelos(program, ['get', 'task', 'nobody'], env())),
      ended(startTelos(program, ['vresion'], env())),
    ]);
    expect(done).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^telos \d/), stderr: '' });
    expect(failed).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: [^\n]+\n$/),
    });
    expect(wrong).toMatchObject({
      exitCode: 2,
      stderr: "error: unknown command 'vresion': did you mean version?\n",
    });
  });

  test('makes its store in the data folder when none is named', async () => {
    const result = await ended(startTelos(program, ['get', 'tasks'], { HOME: sandbox.folder }));
    expect(result).toMatchObject({ exitCode: 0, stderr: 'No resources found in default namespace.\n' });
    const folder = await stat(`${sandbox.folder}/.local/share/telos`);
    expect(folder.mode & 0o077).toBe(0);
    await stat(`${sandbox.folder}/.local/share/telos/telos.db`);
  });

  test('shows where an error comes from only with --debug', async () => {
    const [plain, debug] = await Promise.all([
      ended(startTelos(program, ['get', 'task', 'nobody'], env())),
      ended(startTelos(program, ['get', 'task', 'nobody', '--debug'], env())),
    ]);
    expect(plain.stderr).not.toMatch(/^ +at /m);
    expect(debug.stderr).toMatch(/^ +at /m);
  });

  test('ends quietly when nobody reads its output any more', async () => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('a') });
    const child = startTelos(program, ['get', 'ts', '-w', '-o', 'name'], env());
    const end = ended(child);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    await sandbox.telos(['label', 'ts/a', 'x=y']);
    expect(await end).toMatchObject({ exitCode: 0, signal: null, stderr: '' });
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends with the usual code on %s', async (signal, exitCode) => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('a') });
    const child = startTelos(program, ['get', 'ts', '-w', '-o', 'name'], env());
    const end = ended(child);
    await once(child.stdout, 'data');
    child.kill(signal);
    expect(await end).toMatchObject({ exitCode, signal: null, stderr: '' });
  });

  test('waits as long as it takes', async () => {
    const key = { namespace: 'default', name: 'x' };
    const child = startTelos(program, ['run', '--name', 'x', '-w', '--', 'true'], env());
    const end = ended(child);
    await until(sandbox.store, 'Task', key);
    const following = ended(startTelos(program, ['logs', 'x', '-f'], env()));
    const { metadata } = await sandbox.store.get('Task', key);
    const path = logPath(`${sandbox.storePath}.runs`, metadata.uid);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'printed\n');
    const status = { phase: 'Succeeded', outputs: ['done'] };
    await sandbox.store.patch('Task', key, { status }, { subresource: 'status' });
    expect(await end).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/Succeeded\ndone\n$/) });
    expect(await following).toMatchObject({ exitCode: 0, stdout: 'printed\n', stderr: '' });
  });

  test('ends on Ctrl-C although it waits for its input', async () => {
    const child = startTelos(program, ['apply', '-f', '-', '--debug'], env());
    const end = ended(child);
    // What proves that it reads: a pipe takes no more than its buffer from us unless somebody does.
    await new Promise<void>((resolve) => child.stdin.write(Buffer.alloc(1024 * 1024, '#'), () => resolve()));
    child.kill('SIGINT');
    expect(await end).toMatchObject({ exitCode: 130, signal: null, stderr: '' });
  });
});

describe('completion', () => {
  /** What bash would offer for a line, its cursor at the end. */
  async function offered(words: readonly string[]): Promise<readonly string[]> {
    const { stdout: script } = await sandbox.telos(['completion', 'bash']);
    // The store is asked through the program itself.
    const call = `telos() { '${process.execPath}' '${program}' "$@"; }
${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_telos
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const child = spawn('bash', ['-c', call], { env: { PATH: process.env['PATH'] ?? '', ...env() } });
    const { stdout, stderr } = await ended(child);
    expect(stderr).toBe('');
    return stdout.split('\n').filter((line) => line !== '');
  }

  test('in bash knows commands, subcommands, kinds and flags', async () => {
    expect(await offered(['telos', 'de'])).toEqual(['demo', 'describe', 'delete', 'deliveries']);
    expect(await offered(['telos', 'deliveries', 're'])).toEqual(['redeliver', 'recover', 'replay']);
    expect(await offered(['telos', 'get', 'task'])).toEqual(['tasks', 'taskspawners']);
    expect(await offered(['telos', 'run', '--pr'])).toEqual(['--prompt']);
  });

  test('in bash offers the names that are in the store', async () => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('nightly') });
    expect(await offered(['telos', 'get', 'taskspawners', ''])).toEqual(['nightly']);
    expect(await offered(['telos', 'suspend', ''])).toEqual(['taskspawner/nightly']);
  });

  test.each(['zsh', 'fish'])('has a script for %s with every command', async (shell) => {
    const { stdout, exitCode } = await sandbox.telos(['completion', shell]);
    expect(exitCode).toBe(0);
    for (const word of ['deliveries', 'redeliver', '--egress-allow', 'taskspawners']) {
      expect(stdout).toContain(word.replace(/^--/, ''));
    }
  });
});
