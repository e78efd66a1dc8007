import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSandbox, type Sandbox } from '../cli/sandbox.ts';
import { badSecretManifests } from './bad-manifests.ts';
import { leaksIn, makeCanary } from './canary.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await makeSandbox();
});
afterAll(() => sandbox.close());

const canary = makeCanary('the value');

describe('no error text quotes a secret', () => {
  test.each(badSecretManifests.map((manifest) => [JSON.stringify(manifest.slice(-70)), manifest]))(
    'of a manifest that is wrong: …%s',
    async (_, manifest) => {
      const stdin = manifest.replaceAll('VALUE', canary.value);
      for (const command of [
        ['validate', '-f', '-'],
        ['apply', '-f', '-', '--dry-run', '--debug'],
        ['hooks', 'test', '-f', '-', '--print'],
      ]) {
        const { stderr, stdout, exitCode } = await sandbox.telos(command, { stdin });
        expect.soft(leaksIn(stdout + stderr, [canary]), `${command[0]}: ${stderr}`).toEqual([]);
        if (command[0] !== 'hooks') expect.soft({ stdin, exitCode }).not.toEqual({ stdin, exitCode: 0 });
      }
    },
  );

  test.each([
    [['up', `--egress-proxy=http://user:VALUE@`]],
    [['up', '--egress-proxy', 'socks5://user:VALUE@127.0.0.1:1']],
    [['up', '--egress-proxy', 'http://user:VALUE@127.0.0.1:1/path']],
    [['up', '--egress-proxi=http://user:VALUE@127.0.0.1:1']],
    [['up', '--egress-allow', 'https://chat.example/services/VALUE']],
    [['egress', 'check', 'https://chat.example/', '--egress-deny', 'https://user:VALUE@chat.example']],
    [['run', '--hook', 'https://user:VALUE@chat.example/', '--', 'x']],
    [['run', '--hook', 'http://chat.example/VALUE', '--', 'x']],
    [['run', '--env', 'VALUE', '--', 'x']],
    [['annotate', 'task/x', 'token=VALUE']],
  ])('of a command line that is wrong: %j', async (words) => {
    const args = words.map((word) => word.replaceAll('VALUE', canary.value));
    const { stderr, exitCode } = await sandbox.telos([...args, '--debug']);
    expect(leaksIn(stderr, [canary]), stderr).toEqual([]);
    expect(exitCode).not.toBe(0);
  });

  test.each([
    ['TELOS_EGRESS_PROXY', 'http://user:VALUE@'],
    ['TELOS_EGRESS_ALLOW', 'https://user:VALUE@chat.example/VALUE'],
  ])('of a variable that is wrong: %s', async (name, value) => {
    const env = { [name]: value.replaceAll('VALUE', canary.value) };
    const { stderr, exitCode } = await sandbox.telos(['egress', 'check', 'https://chat.example/'], { env });
    expect(leaksIn(stderr, [canary]), stderr).toEqual([]);
    expect(exitCode).toBe(2);
  });
});
