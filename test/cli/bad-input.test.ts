import { mkdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSandbox, type Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await makeSandbox();
  await mkdir(join(sandbox.folder, 'folder'));
  await sandbox.file('empty.yaml', '');
  await sandbox.file('binary.yaml', '\u0000\u0001\u0002');
  await sandbox.file('words.yaml', 'hello');
  await sandbox.file('pod.yaml', 'apiVersion: v1\nkind: Pod\n');
  // Sparse: it takes no room.
  await truncate(await sandbox.file('huge.yaml', ''), 100 * 1024 * 1024);
});
afterAll(() => sandbox.close());

const oneLine = /^error: \S[^\n]*: [^\n]+\n$/;

describe('a file that is none', () => {
  const files = [
    'missing.yaml',
    'folder',
    'empty.yaml',
    'binary.yaml',
    'words.yaml',
    'pod.yaml',
    'huge.yaml',
    '\u202eodd\nname',
  ];
  const commands = [
    ['validate', '-f'],
    ['apply', '-f'],
    ['delete', '-f'],
    ['hooks', 'test', '-f'],
    ['egress', 'check', 'https://a.example', '--ca-file'],
  ];
  test.each(files.flatMap((file) => commands.map((command) => [command, file] as const)))(
    '%j %j gets one line that says what, where and what to do',
    async (command, file) => {
      const path = join(sandbox.folder, file);
      const { exitCode, stderr, stdout } = await sandbox.telos([...command, path]);
      expect(stderr).toMatch(oneLine);
      expect(stderr).toContain(sandbox.folder);
      expect([exitCode, stdout]).toEqual([
        command.includes('--ca-file') && !/^error: [a-z]/.test(stderr) ? 2 : 1,
        '',
      ]);
    },
  );

  test('is not read without end', async () => {
    for (const args of [
      ['validate', '-f'],
      ['egress', 'check', 'https://a.example', '--ca-file'],
    ]) {
      const { exitCode, stderr } = await sandbox.telos([...args, '/dev/zero']);
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: expect.stringMatching(/^error: larger than 16 MiB: [^\n]*\/dev\/zero: [^\n]+\n$/),
      });
    }
  });
});

describe('words that mean nothing', () => {
  const words = [
    '',
    ' ',
    '-1',
    '😀',
    '../../etc/passwd',
    'x'.repeat(300),
    'task/',
    'tsk/x',
    '\u001b[31m',
    'a\nb',
  ];
  const commands: readonly (readonly string[])[] = [
    ['get'],
    ['describe'],
    ['annotate'],
    ['suspend'],
    ['completion'],
    ['run', '--from'],
    ['run', '--env'],
    ['get', 'tasks', '-n'],
    ['get', 'tasks', '-o'],
    ['get', 'tasks', '--store'],
    ['deliveries'],
    ['deliveries', 'show'],
    ['deliveries', 'recover', '--since'],
    ['deliveries', 'list', '--phase'],
    ['up', '--port'],
    ['up', '--report-backlog'],
    ['up', '--delivery-retention'],
    ['up', '--max-in-flight'],
    ['up', '--retry-schedule'],
    ['up', '--log-level'],
    ['up', '--egress-proxy'],
    ['up', '--egress-nat64-prefix'],
    [],
  ];
  test.each(commands)('after %s %s %s get one line, and exit 1 or 2', async (...command) => {
    for (const word of words) {
      const { exitCode, stderr, stdout } = await sandbox.telos([...command, word]);
      expect({ word, stderr }).toEqual({ word, stderr: expect.stringMatching(oneLine) });
      expect(stderr).not.toContain('internal error');
      expect([1, 2]).toContain(exitCode);
      expect(stdout).toBe('');
    }
  });

  test('as a selector are wrong usage', async () => {
    expect(await sandbox.telos(['get', 'tasks', '-l', '==x'])).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: "error: not a label selector: --selector '==x': write labels such as a=b,c!=d,e in (f,g),!h\n",
    });
  });
});
