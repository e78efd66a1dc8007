import { readdir, watch, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Delivery, isSettled } from '../../src/api/delivery.ts';
import { terminalPhase } from '../../src/api/task.ts';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import { type Arrival, startReceiver } from '../../src/cli/demo/receivers.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { makeSandbox, type Sandbox } from '../cli/sandbox.ts';
import { buildTelos, ended, startTelos } from '../support/telos-program.ts';
import { until } from '../support/until.ts';
import { type RunningEngine, sendEvent, startEngine } from './running-engine.ts';

let program: string;
let certificate: Certificate;
let caPem: string;
let sandbox: Sandbox;
let engines: RunningEngine[];
let closers: (() => Promise<void>)[];

beforeAll(async () => {
  program = await buildTelos();
  const authority = await makeCertificate();
  certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
  caPem = authority.certPem;
});

beforeEach(async () => {
  sandbox = await makeSandbox();
  engines = [];
  closers = [];
});

afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.stop()));
  for (const close of closers) await close();
  await sandbox.close();
});

async function up(port: number): Promise<RunningEngine> {
  const caFile = await sandbox.file('ca.pem', caPem);
  const args = ['--ca-file', caFile, '--egress-allow', `127.0.0.1:${port}`];
  const engine = await startEngine(program, sandbox.storePath, ...args);
  engines.push(engine);
  return engine;
}

async function receiver(): Promise<{ port: number; arrivals: readonly Arrival[] }> {
  const started = await startReceiver(certificate, () => ({ status: 204 }));
  closers.push(started.close);
  return { port: Number(new URL(started.origin).port), arrivals: started.arrivals };
}

/** A port on which nothing listens, until `open` starts a receiver there. */
async function closedPort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function spawner(port: number, command: readonly string[], extra = ''): string {
  return `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: build}
spec:
  when: {webhook: {source: ci, fieldMapping: {id: $.id, title: $.title}}}
${extra}
  taskTemplate:
    type: command
    command: ${JSON.stringify(command)}
  onCompletion:
    hooks: [{name: all, webhook: {url: "https://127.0.0.1:${port}/done"}}]
`;
}

async function apply(manifest: string): Promise<void> {
  const file = await sandbox.file('spawner.yaml', manifest);
  const run = await sandbox.telos(['apply', '-f', file]);
  expect(run.stderr).toBe('');
  await until(
    sandbox.store,
    'TaskSpawner',
    { namespace: 'default', name: 'build' },
    (it) => it.status?.phase === 'Running',
  );
}

async function untilDelivery(
  store: ResourceStore,
  condition: (delivery: Delivery) => boolean,
): Promise<Delivery> {
  const { items, resourceVersion } = await store.list('Delivery');
  const present = items.find(condition);
  if (present !== undefined) return present;
  for await (const event of store.watch('Delivery', { resourceVersion })) {
    if (event.type !== 'BOOKMARK' && condition(event.resource)) return event.resource;
  }
  throw new Error('the watch ended');
}

const taskKey = (name: string | undefined) => ({ namespace: 'default', name: name ?? '' });

describe('telos up', () => {
  it('turns an event into a Task, a process, an outcome and a delivered webhook', async () => {
    const { port, arrivals } = await receiver();
    const engine = await up(port);
    await apply(
      spawner(port, [
        'sh',
        '-c',
        'echo ---KELOS_OUTPUTS_START---; echo "seen: $1"; echo ---KELOS_OUTPUTS_END---',
        'x',
        '{{.Title}}',
      ]),
    );
    const answer = await sendEvent(engine.url, 'ci', { id: '1', title: 'red; rm -rf /' });
    expect(answer.status).toBe(202);
    const delivery = await untilDelivery(sandbox.store, isSettled);
    expect(delivery.status).toMatchObject({ phase: 'Delivered', attemptCount: 1 });
    expect(arrivals).toHaveLength(1);
    expect(arrivals[0]?.payload).toMatchObject({
      phase: 'Succeeded',
      spawner: 'build',
      results: { seen: 'red; rm -rf /' },
    });
    expect(arrivals[0]?.webhookId).toBe(delivery.spec.id);
  });

  it('keeps the log of a Task as long as the Task, and clears up after one that is gone', async () => {
    const { port } = await receiver();
    const engine = await up(port);
    await apply(spawner(port, ['echo', 'said this']));
    const { body } = await sendEvent(engine.url, 'ci', { id: '1' });
    const key = taskKey(body.results?.[0]?.task);
    await untilDelivery(sandbox.store, isSettled);
    const shown = await sandbox.telos(['logs', `task/${key.name}`]);
    expect(shown).toMatchObject({ exitCode: 0, stdout: 'said this\n' });
    expect(await engine.stop()).toBe(0);
    await sandbox.store.delete('Task', key);
    const folder = `${sandbox.storePath}.runs`;
    expect(await readdir(folder)).toHaveLength(1);
    const cleared = (async () => {
      for await (const _change of watch(folder)) if ((await readdir(folder)).length === 0) return;
    })();
    await up(port);
    await cleared;
  });

  it('makes one Task of an event that is sent twice', async () => {
    const { port } = await receiver();
    const engine = await up(port);
    await apply(spawner(port, ['true']));
    const first = await sendEvent(engine.url, 'ci', { id: 'same' });
    const second = await sendEvent(engine.url, 'ci', { id: 'same' });
    expect([first.body.results?.[0]?.outcome, second.body.results?.[0]?.outcome]).toEqual([
      'created',
      'duplicate',
    ]);
  });

  it('takes a run up again after kill -9, with its true exit status', async () => {
    const { port, arrivals } = await receiver();
    const killed = await up(port);
    const gate = join(sandbox.folder, 'gate');
    await apply(spawner(port, ['sh', '-c', `while [ ! -e ${gate} ]; do sleep 0.05; done; exit 7`]));
    const { body } = await sendEvent(killed.url, 'ci', { id: '1' });
    const key = taskKey(body.results?.[0]?.task);
    await until(sandbox.store, 'Task', key, (task) => task.status?.phase === 'Running');
    await killed.kill();
    await writeFile(gate, '');
    await up(port);
    const task = await until(sandbox.store, 'Task', key, (it) => terminalPhase(it) !== undefined);
    expect(task.status).toMatchObject({ phase: 'Failed', message: expect.stringContaining('status 7') });
    await untilDelivery(sandbox.store, isSettled);
    expect(arrivals.map((arrival) => arrival.payload.phase)).toEqual(['Failed']);
  });

  it('delivers after kill -9 what was waiting, with the same webhook-id', async () => {
    const port = await closedPort();
    const killed = await up(port);
    await apply(spawner(port, ['true']));
    await sendEvent(killed.url, 'ci', { id: '1' });
    const waiting = await untilDelivery(sandbox.store, (delivery) => delivery.status?.phase === 'Retrying');
    expect(waiting.status).toMatchObject({ reason: 'Connect', attemptCount: 1 });
    await killed.kill();
    const received = new Promise<string>((resolve, reject) => {
      const server = createServer(
        { cert: certificate.certPem, key: certificate.keyPem },
        (request, response) => {
          request.resume().on('end', () => response.writeHead(204).end());
          resolve(String(request.headers['webhook-id']));
        },
      );
      server.once('error', reject);
      server.listen(port, '127.0.0.1');
      closers.push(
        () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      );
    });
    await up(port);
    expect(await received).toBe(waiting.spec.id);
    const delivered = await untilDelivery(sandbox.store, isSettled);
    expect(delivered.status).toMatchObject({ phase: 'Delivered', attemptCount: 2 });
  });

  it('runs no more than maxConcurrency, loses none, and goes on with those that wait after a restart', async () => {
    const { port } = await receiver();
    const first = await up(port);
    const gate = join(sandbox.folder, 'gate');
    const command = ['sh', '-c', `while [ ! -e ${gate} ]; do sleep 0.05; done`];
    await apply(spawner(port, command, '  maxConcurrency: 1'));
    const sent = await Promise.all(['a', 'b', 'c'].map((id) => sendEvent(first.url, 'ci', { id })));
    const keys = sent.map(({ body }) => taskKey(body.results?.[0]?.task));
    await until(
      sandbox.store,
      'TaskSpawner',
      taskKey('build'),
      (it) => it.status?.activeTasks === 1 && it.status.waitingTasks === 2,
    );
    await first.kill();
    await writeFile(gate, '');
    await up(port);
    for (const key of keys) {
      const task = await until(sandbox.store, 'Task', key, (it) => terminalPhase(it) !== undefined);
      expect(task.status?.phase).toBe('Succeeded');
    }
  });

  it('shows health, readiness and metrics of every step', async () => {
    const { port } = await receiver();
    const engine = await up(port);
    await apply(spawner(port, ['true']));
    await sendEvent(engine.url, 'ci', { id: '1' });
    await untilDelivery(sandbox.store, isSettled);
    expect((await fetch(`${engine.url}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${engine.url}/readyz`)).json()).toEqual({ ready: true, waitingFor: [] });
    const metrics = await (await fetch(`${engine.url}/metrics`)).text();
    for (const line of [
      /^telos_events_total\{.*outcome="created".*\} 1$/m,
      /^telos_tasks_completed_total\{.*phase="Succeeded".*\} 1$/m,
      /^telos_deliveries_total\{.*phase="Delivered".*\} 1$/m,
      /^telos_delivery_attempt_seconds_count 1$/m,
      /^telos_phase_to_post_seconds_count 1$/m,
    ]) {
      expect(metrics).toMatch(line);
    }
  });

  it.each([
    ['a method other than POST', { method: 'GET' }, 405],
    ['an unknown source', { method: 'POST', path: '/webhook/nobody', body: '{}' }, 404],
    ['what is not JSON', { method: 'POST', body: '{"id": ' }, 400],
    [
      'what a web page sends',
      { method: 'POST', body: '{"id":"1"}', headers: { origin: 'https://evil.example' } },
      403,
    ],
    ['more than 25 MiB', { method: 'POST', body: 'x'.repeat(25 * 1024 * 1024 + 1) }, 413],
  ])(
    'answers %s with one clear line, and stays up',
    async (_what, request: RequestInit & { path?: string }, status) => {
      const { port } = await receiver();
      const engine = await up(port);
      await apply(spawner(port, ['true']));
      const { path = '/webhook/ci', ...init } = request;
      const answer = await fetch(`${engine.url}${path}`, init);
      expect(answer.status).toBe(status);
      expect(((await answer.json()) as { error: string }).error).toMatch(/^\S.*\S$/);
      expect((await fetch(`${engine.url}/healthz`)).status).toBe(200);
    },
  );

  it('drains on SIGTERM and leaves running programs alone', async () => {
    const { port } = await receiver();
    const engine = await up(port);
    const gate = join(sandbox.folder, 'gate');
    await apply(spawner(port, ['sh', '-c', `while [ ! -e ${gate} ]; do sleep 0.05; done`]));
    const { body } = await sendEvent(engine.url, 'ci', { id: '1' });
    const key = taskKey(body.results?.[0]?.task);
    await until(sandbox.store, 'Task', key, (task) => task.status?.phase === 'Running');
    expect(await engine.stop()).toBe(0);
    await writeFile(gate, '');
    await up(port);
    const task = await until(sandbox.store, 'Task', key, (it) => terminalPhase(it) !== undefined);
    expect(task.status?.phase).toBe('Succeeded');
  });

  it('refuses a second engine on the same file, and a port in use, each in one line', async () => {
    const { port } = await receiver();
    const engine = await up(port);
    const args = ['up', '--store', `sqlite:${sandbox.storePath}`, '--port', '0'];
    const second = await ended(startTelos(program, args));
    expect(second.exitCode).toBe(1);
    expect(second.stderr.trim()).toMatch(/^error: .*another engine.*$/);
    const taken = new URL(engine.url).port;
    const other = ['up', '--store', `sqlite:${join(sandbox.folder, 'other.db')}`, '--port', taken];
    const refused = await ended(startTelos(program, other));
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr.trim()).toMatch(/^error: .*port is in use.*--port$/);
  });
});

describe('telos demo', () => {
  it('ends with 0 when everything that it promises was seen to happen', async () => {
    const run = await ended(startTelos(program, ['demo']));
    expect(run.stderr).toBe('');
    expect(run.stdout).not.toContain('✘');
    expect(run.exitCode).toBe(0);
  }, 60_000);
});
