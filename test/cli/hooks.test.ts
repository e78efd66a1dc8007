import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';

interface Received {
  readonly path: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

let authority: Certificate;
let certificate: Certificate;
let sandbox: Sandbox;
let receiver: Server;
let received: Received[];
let answer: number;
let trust: readonly string[];
beforeAll(async () => {
  authority = await makeCertificate();
  certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
});
beforeEach(async () => {
  sandbox = await makeSandbox();
  received = [];
  answer = 204;
  receiver = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (request, response) => {
    void text(request).then((body) => {
      received.push({ path: request.url, headers: request.headers, body });
      response.writeHead(answer).end();
    });
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  trust = ['--egress-allow', '127.0.0.1/32', '--ca-file', await sandbox.file('ca.pem', authority.certPem)];
});
afterEach(async () => {
  const closed = once(receiver, 'close');
  receiver.close();
  receiver.closeAllConnections();
  await closed;
  await sandbox.close();
});

function url(): string {
  return `https://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
}

function manifest(): Promise<string> {
  return sandbox.file(
    'hooks.yaml',
    `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: nightly}
spec:
  when: {cron: {schedule: "0 3 * * *"}}
  taskTemplate: {type: command, command: [echo, hello]}
  onCompletion:
    hooks:
      - name: oncall
        phases: [Failed]
        webhook: {url: "${url()}", secretRef: {name: headers}}
      - name: chat
        webhook: {url: "${url()}"}
---
apiVersion: v1
kind: Secret
metadata: {name: headers}
stringData: {authorization: canary-value}
`,
  );
}

describe('hooks test', () => {
  test('sends the exact request of a real Delivery, and shows the answer', async () => {
    const file = await manifest();
    const result = await sandbox.telos(['hooks', 'test', '-f', file, '--hook', 'oncall', ...trust]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /^hook oncall: POST https:.*\n1\. .* delivered by 127\.0\.0\.1.* with HTTP 204/,
    );
    expect(result.stdout).not.toContain('canary-value');
    expect(received).toHaveLength(1);
    expect(received[0]?.headers).toMatchObject({
      authorization: 'canary-value',
      'telos-attempt': '1',
      'webhook-id': expect.stringMatching(/^msg_/),
    });
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ phase: 'Failed', spawner: 'nightly' });
  });

  test('with --print shows it, values of Secrets masked, and sends nothing', async () => {
    const result = await sandbox.telos(['hooks', 'test', '-f', await manifest(), '--print', ...trust]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toContain('authorization: ***\n');
    expect(result.stdout).toContain('content-type: application/json\n');
    expect(result.stdout).toContain('hook chat: POST');
    expect(result.stdout).not.toContain('canary-value');
    expect(received).toEqual([]);
  });

  test('tells of the agent type and model of the Tasks that the hook is for', async () => {
    const args = ['hooks', 'test', '-f', await manifest(), '--hook', 'oncall', ...trust];
    await sandbox.telos(args);
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ agentType: 'command' });
  });

  test('fails when a filter cannot say whether the hook is told', async () => {
    const text = (await readFile(await manifest(), 'utf8')).replace(
      'name: chat',
      'name: chat\n        filter: task.results["nothing"] == "1"',
    );
    const file = await sandbox.file('filter.yaml', text);
    const { stderr, exitCode } = await sandbox.telos([
      'hooks',
      'test',
      '-f',
      file,
      '--hook',
      'chat',
      ...trust,
    ]);
    expect(stderr).toMatch(/^hook chat would not be told: its filter fails: field not found: nothing/);
    expect(exitCode).toBe(1);
  });

  test('says when a hook would not be told of the phase asked for', async () => {
    const file = await manifest();
    const args = ['hooks', 'test', '-f', file, '--hook', 'oncall', '--phase', 'Succeeded', ...trust];
    const { stderr } = await sandbox.telos(args);
    expect(stderr).toMatch(/^hook oncall would not be told: .*Succeeded\n$/);
  });

  test('exits with 1 when the receiver refuses', async () => {
    answer = 500;
    const args = ['hooks', 'test', '-f', await manifest(), '--hook', 'chat', '-o', 'json', ...trust];
    const { exitCode, stdout } = await sandbox.telos(args);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject([{ hook: 'chat', attempt: { number: 1, httpStatus: 500 } }]);
  });

  test('opens no connection to where the guard forbids', async () => {
    const { exitCode, stdout } = await sandbox.telos([
      'hooks',
      'test',
      '-f',
      await manifest(),
      '--hook',
      'chat',
    ]);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('Blocked');
    expect(received).toEqual([]);
  });

  test('takes Secrets from the store when the manifest has none', async () => {
    const whole = await manifest();
    await sandbox.telos(['apply', '-f', whole]);
    const { stdout } = await sandbox.telos(['get', 'ts', 'nightly', '-o', 'yaml']);
    const args = ['hooks', 'test', '-f', '-', '--hook', 'oncall', ...trust];
    expect((await sandbox.telos(args, { stdin: stdout })).exitCode).toBe(0);
    expect(received[0]?.headers).toMatchObject({ authorization: 'canary-value' });
  });

  test('names the hooks there are when asked for another', async () => {
    const result = await sandbox.telos(['hooks', 'test', '-f', await manifest(), '--hook', 'pager']);
    expect(result).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: "error: no hook 'pager': --hook: use one of oncall, chat\n",
    });
  });
});

describe('egress check', () => {
  test('says of each URL whether and why, and exits with 1 when one is refused', async () => {
    const urls = ['https://127.0.0.1/x', 'http://example.com/'];
    const { exitCode, stdout } = await sandbox.telos(['egress', 'check', ...urls, '-o', 'json']);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      {
        url: urls[0],
        verdict: 'refused',
        stage: 'address',
        reason: expect.any(String),
        addresses: expect.any(Array),
      },
      { url: urls[1], verdict: 'refused', stage: 'text', reason: expect.any(String), addresses: [] },
    ]);
  });

  test('obeys the operator, by flag and by variable', async () => {
    const flag = await sandbox.telos([
      'egress',
      'check',
      'https://127.0.0.1/',
      '--egress-allow',
      '127.0.0.1/32',
    ]);
    expect(flag).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^allowed +https:\/\/127\.0\.0\.1\//),
    });
    const json = await sandbox.telos(['egress', 'check', 'https://127.0.0.1/', '-o', 'json'], {
      env: { TELOS_EGRESS_ALLOW: '127.0.0.1' },
    });
    expect(JSON.parse(json.stdout)).toEqual([
      {
        url: 'https://127.0.0.1/',
        verdict: 'allowed',
        stage: 'address',
        reason: expect.stringContaining('127.0.0.1 by --egress-allow 127.0.0.1'),
        addresses: ['127.0.0.1'],
      },
    ]);
    const variable = await sandbox.telos(['egress', 'check', 'https://127.0.0.1/'], {
      env: { TELOS_EGRESS_ALLOW: '10.0.0.0/8, 127.0.0.1/32' },
    });
    expect(variable.exitCode).toBe(0);
  });

  test('refuses flags that mean nothing: exit 2', async () => {
    const missing = await sandbox.telos(['egress', 'check']);
    expect(missing).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('no URL') });
    const wrong = await sandbox.telos([
      'egress',
      'check',
      'https://a.example/',
      '--egress-allow',
      '300.1.2.3/99',
    ]);
    expect(wrong).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: [^\n]*300\.1\.2\.3\/99[^\n]*\n$/),
    });
    const up = await sandbox.telos(['up', '--port', '0', '--egress-allow', '300.1.2.3/99']);
    expect(up).toMatchObject({ exitCode: 2, stderr: wrong.stderr });
    const ca = await sandbox.file('no-ca.pem', 'no certificate');
    const noPem = await sandbox.telos(['egress', 'check', 'https://a.example/', '--ca-file', ca]);
    expect(noPem).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: --ca-file: "[^"\n]*no-ca\.pem"/),
    });
    const noFile = await sandbox.telos([
      'egress',
      'check',
      'https://a.example/',
      '--ca-file',
      '/nonexistent/ca.pem',
    ]);
    expect(noFile).toMatchObject({
      exitCode: 1,
      stderr: 'error: no such file or directory: --ca-file /nonexistent/ca.pem: check the path\n',
    });
  });
});
