import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse } from 'yaml';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import type { AnyObject, KubeObject } from '../cluster/kit/kube-object.ts';
import { formatKubeconfig, readKubeconfig } from '../cluster/kit/kubeconfig.ts';
import { type RunningEngine, startUp } from '../engine/running-engine.ts';
import { type ReceivedRequest, type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos } from '../support/telos-program.ts';
import { printedManifests } from './installed.ts';

const crds = join(import.meta.dirname, '..', '..', 'deploy', 'crds');
const tasks = 'kelos.dev/v1alpha1/tasks';
const deliveries = 'telos.dev/v1alpha1/deliveries';
const bindings = 'rbac.authorization.k8s.io/v1/clusterrolebindings';
const account = { namespace: 'telos-system', name: 'telos' };
const finalizer = 'telos.dev/on-completion';
const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

interface Definition extends KubeObject {
  readonly spec: { readonly versions: readonly { readonly name: string }[] };
}

interface DeliveryStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly attemptCount?: number;
}

const statusOf = ({ status }: AnyObject): DeliveryStatus => (status ?? {}) as DeliveryStatus;
const isHeld = ({ metadata: { finalizers = [] } }: AnyObject): boolean => finalizers.includes(finalizer);
const isAbout =
  (task: string) =>
  ({ spec }: AnyObject): boolean =>
    (spec as { readonly task: { readonly name: string } }).task.name === task;

describe.skipIf(programs === undefined)('Telos on a cluster that changes under it', () => {
  let plane: ControlPlane;
  let program: string;
  let receiver: Receiver;
  let folder: string;
  /** How a path is answered, when not with 200. */
  const answers = new Map<string, (response: ServerResponse) => void>();
  const ending: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    let printed: string;
    [plane, program, receiver, folder, printed] = await Promise.all([
      startControlPlane(programs ?? ''),
      buildTelos(),
      startReceiver({
        answer: ({ path }, response) => {
          const answer = answers.get(path);
          if (answer === undefined) response.end();
          else answer(response);
        },
      }),
      mkdtemp(join(tmpdir(), 'telos-breaking-')),
      printedManifests(),
    ]);
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    // The kinds come later.
    const documents = printed.split(/^---$/m).filter((document) => !/^kind: Custom/m.test(document));
    await plane.admin.apply(documents.join('---'));
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    answers.clear();
  });
  afterAll(async () => {
    await receiver.close();
    await rm(folder, { recursive: true });
    await plane.stop();
  });

  /** The engine with the rights of its ServiceAccount. Resolves when it is ready. */
  async function up(onLine?: (line: string) => void): Promise<RunningEngine> {
    const { server, ca } = readKubeconfig(plane.kubeconfig);
    const token = await plane.admin.serviceAccountToken(account.namespace, account.name);
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, formatKubeconfig({ server, ...(ca && { ca }), token }), { mode: 0o600 });
    const own = [`--ca-file=${folder}/ca.pem`, `--egress-allow=127.0.0.1:${receiver.port}`];
    const args = ['up', '--report', '--store=kubernetes', '--log-format=json', ...own];
    const engine = await startUp(program, args, { KUBECONFIG: kubeconfig }, onLine);
    ending.push(() => engine.stop());
    return engine;
  }

  async function namespaceOf(name: string): Promise<string> {
    return plane.admin.createNamespace(name, { serviceAccount: plane.controllers });
  }

  /** A Task with one hook, to a path of the receiver. */
  async function run(namespace: string, name: string, path: string, webhook: object = {}): Promise<void> {
    const hooks = [{ name: 'oncall', webhook: { url: `${receiver.origin}${path}`, ...webhook } }];
    await plane.admin.applyObject({
      apiVersion: 'kelos.dev/v1alpha1',
      kind: 'Task',
      metadata: { name, namespace, annotations: { 'kelos.dev/on-completion': JSON.stringify(hooks) } },
      spec: { type: 'command', command: ['true'] },
    } as AnyObject);
  }

  function succeed(namespace: string, name: string): Promise<unknown> {
    return plane.admin.patchStatus(tasks, { namespace, name }, { phase: 'Succeeded' });
  }

  const came = (path: string): ReceivedRequest[] => receiver.requests.filter((one) => one.path === path);

  /** Resolves with what came to a path, as soon as it is so many. */
  async function arrived(path: string, count: number): Promise<ReceivedRequest[]> {
    while (came(path).length < count) await receiver.received(receiver.requests.length + 1);
    return came(path);
  }

  /** Resolves with an object of a collection that is as wanted. */
  async function seen(
    collection: string,
    namespace: string,
    condition: (object: AnyObject) => boolean,
  ): Promise<AnyObject> {
    const { items, metadata } = await plane.admin.list(collection, { namespace });
    const present = items.find(condition);
    if (present !== undefined) return present;
    const query = { resourceVersion: metadata.resourceVersion };
    for await (const event of plane.admin.watch(collection, { namespace, query })) {
      if (event.type !== 'BOOKMARK' && condition(event.object)) return event.object;
    }
    throw new Error('the watch ended');
  }

  async function metric(engine: RunningEngine, name: string): Promise<string[]> {
    const text = await (await fetch(`${engine.url}/metrics`)).text();
    return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  }

  test('waits for CRDs, works with older ones, and goes on when newer ones come', async () => {
    const lines: string[] = [];
    let isAsking: () => void = () => {};
    const asking = new Promise<void>((resolve) => {
      isAsking = resolve;
    });
    const starting = up((line) => {
      lines.push(line);
      if (lines.some((one) => one.includes('tasks.kelos.dev')) && line.includes('deliveries.telos.dev'))
        isAsking();
      if (lines.some((one) => one.includes('deliveries.telos.dev')) && line.includes('tasks.kelos.dev'))
        isAsking();
    });
    await asking;
    expect(lines.find((line) => line.includes('tasks.kelos.dev'))).toMatch(
      /does not know tasks\.kelos\.dev: install Kelos, or without it: telos manifests/,
    );
    expect(lines.find((line) => line.includes('deliveries.telos.dev'))).toMatch(
      /does not know deliveries\.telos\.dev: telos manifests \| kubectl apply -f -/,
    );

    // Kelos as it was: its older version only.
    for (const file of readdirSync(crds)) {
      const definition = parse(readFileSync(join(crds, file), 'utf8')) as Definition;
      const older = definition.spec.versions
        .filter(({ name }) => name === 'v1alpha1')
        .map((version) => ({ ...version, storage: true }));
      const spec = { ...definition.spec, versions: older };
      await plane.admin.applyObject({ ...definition, spec } as unknown as AnyObject);
    }
    const engine = await starting;
    const namespace = await namespaceOf('older');
    await run(namespace, 'old', '/old');
    await succeed(namespace, 'old');
    await arrived('/old', 1);
    await seen(deliveries, namespace, (one) => isAbout('old')(one) && statusOf(one).phase === 'Delivered');

    await installDefinitions(plane.admin);
    await run(namespace, 'new', '/new');
    await succeed(namespace, 'new');
    await arrived('/new', 1);
    await seen(deliveries, namespace, (one) => isAbout('new')(one) && statusOf(one).phase === 'Delivered');
    expect(came('/old')).toHaveLength(1);
    expect(engine.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  test('sends what a Secret says now, waits for one that is removed, and sends what comes then', async () => {
    await up();
    const namespace = await namespaceOf('secrets');
    const setSecret = (value: string): Promise<unknown> =>
      plane.admin.applyObject({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'headers', namespace },
        stringData: { 'x-team': value },
      } as unknown as AnyObject);
    await setSecret('day');
    await run(namespace, 'job', '/secret', { secretRef: { name: 'headers' } });
    await succeed(namespace, 'job');
    await arrived('/secret', 1);
    const done = (attempts: number) => (one: AnyObject) => (statusOf(one).attemptCount ?? 0) >= attempts;
    const { metadata } = await seen(deliveries, namespace, done(1));
    let attempt = 1;
    /** Has it sent again; resolves with what came of it. */
    const again = async (): Promise<DeliveryStatus> => {
      attempt += 1;
      const annotations = { 'telos.dev/redeliver': String(attempt) };
      const key = { namespace, name: metadata.name };
      await plane.admin.patch(deliveries, key, { metadata: { annotations } });
      return statusOf(await seen(deliveries, namespace, done(attempt)));
    };
    const team = (): unknown => came('/secret').at(-1)?.headers['x-team'];

    await setSecret('night');
    // What was read is good for two seconds.
    while (team() !== 'night') await again();
    expect(came('/secret').map(({ headers }) => headers['x-team'])).toEqual([
      ...Array.from({ length: attempt - 1 }, () => 'day'),
      'night',
    ]);

    await plane.admin.delete('v1/secrets', { namespace, name: 'headers' });
    let status: DeliveryStatus = {};
    while (status.reason !== 'SecretNotFound') status = await again();
    const before = came('/secret').length;
    expect(status).toMatchObject({ phase: 'Retrying' });

    await setSecret('morning');
    await arrived('/secret', before + 1);
    expect(team()).toBe('morning');
    await seen(deliveries, namespace, (one) => statusOf(one).phase === 'Delivered');
  });

  test('holds what it has no right to record, says which is missing, and tells it once when given back', async () => {
    const engine = await up();
    const namespace = await namespaceOf('rights');
    for (const name of ['before', 'deleted']) {
      await run(namespace, name, '/rights');
      await plane.admin.until(tasks, { namespace, name }, isHeld);
    }
    const binding = await plane.admin.get<AnyObject>(bindings, { name: 'telos' });
    await plane.admin.delete(bindings, { name: 'telos' });
    await succeed(namespace, 'before');
    expect(await engine.logged('recording a completion is put off')).toMatch(
      /cannot create resource \\"deliveries\\".*grant it with a Role and a RoleBinding/,
    );
    await plane.admin.delete(tasks, { namespace, name: 'deleted' });
    expect(await engine.logged('a Task that is being deleted cannot be let go')).toMatch(
      new RegExp(`cannot patch resource.*kubectl edit task deleted -n ${namespace}`),
    );
    const { roleRef, subjects } = binding;
    const metadata = { name: 'telos' };
    await plane.admin.create(bindings, { metadata, roleRef, subjects } as unknown as AnyObject);
    await arrived('/rights', 1);
    await seen(deliveries, namespace, (one) => statusOf(one).phase === 'Delivered');
    await seen(tasks, namespace, (task) => !isHeld(task));
    await plane.admin.untilGone(tasks, { namespace, name: 'deleted' });
    expect(came('/rights')).toHaveLength(1);
  });

  test('tells of each Task that is deleted in the moment it ends, once, and lets it go', async () => {
    await up();
    const namespace = await namespaceOf('moment');
    const names = Array.from({ length: 20 }, (_, index) => `task-${index}`);
    for (const name of names) await run(namespace, name, `/moment/${name}`);
    const gone = names.map(async (name) => {
      await plane.admin.until(tasks, { namespace, name }, isHeld);
      await succeed(namespace, name);
      await plane.admin.delete(tasks, { namespace, name });
      await plane.admin.untilGone(tasks, { namespace, name });
    });
    await Promise.all(gone);
    for (const name of names) await arrived(`/moment/${name}`, 1);
    for (const name of names) {
      await seen(deliveries, namespace, (one) => isAbout(name)(one) && statusOf(one).phase === 'Delivered');
      expect(came(`/moment/${name}`)).toHaveLength(1);
    }
  });

  test('tells of each end that was taken although its Task is let go of in that moment', async () => {
    await up();
    const namespace = await namespaceOf('taken');
    const names = Array.from({ length: 60 }, (_, index) => `task-${index}`);
    const taken = names.map(async (name) => {
      await run(namespace, name, `/taken/${name}`);
      await plane.admin.until(tasks, { namespace, name }, isHeld);
      await plane.admin.delete(tasks, { namespace, name });
      // The engine lets go of it now, because it has not ended; some ends are sooner, some later than that.
      return succeed(namespace, name).then(
        () => name,
        () => undefined,
      );
    });
    for (const name of await Promise.all(taken)) if (name !== undefined) await arrived(`/taken/${name}`, 1);
    for (const name of names) await plane.admin.untilGone(tasks, { namespace, name });
  });

  test('tells once more of what waits in a namespace that is deleted, and does not hold it', async () => {
    const engine = await up();
    const namespace = await namespaceOf('going');
    // The whole origin is asked for an hour's peace: what comes after the first waits for it.
    const busy = (response: ServerResponse): void =>
      void response.writeHead(503, { 'retry-after': '3600' }).end();
    for (const name of ['waits', 'fails', 'taken-back']) {
      answers.set(`/${name}`, busy);
      await run(namespace, name, `/${name}`);
      await succeed(namespace, name);
      const waits = (one: AnyObject): boolean =>
        isAbout(name)(one) && (name !== 'waits' || statusOf(one).phase === 'Retrying');
      await seen(deliveries, namespace, waits);
      await seen(tasks, namespace, (task) => task.metadata.name === name && !isHeld(task));
    }
    const { metadata } = await seen(deliveries, namespace, isAbout('taken-back'));
    await plane.admin.delete(deliveries, { namespace, name: metadata.name });
    await engine.logged('a Delivery that somebody deleted is not sent');

    answers.delete('/waits');
    await plane.admin.delete('v1/namespaces', { name: namespace });
    const [first, last] = await arrived('/waits', 2);
    expect(last?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(last?.body).toEqual(first?.body);
    expect(last?.headers['telos-attempt']).toBe('2');
    await arrived('/fails', 1);
    if (plane.controllers) await plane.admin.untilGone('v1/namespaces', { name: namespace });
    await engine.logged('"lastAttempt":"delivered"');
    await engine.logged('"lastAttempt":"failed"');
    expect((await metric(engine, 'telos_deliveries_gone_with_namespace_total')).sort()).toEqual([
      'telos_deliveries_gone_with_namespace_total{outcome="delivered"} 1',
      'telos_deliveries_gone_with_namespace_total{outcome="failed"} 1',
    ]);
    expect(came('/taken-back')).toEqual([]);
  });

  test('lets go of every Task of a namespace that is deleted while they run and end', async () => {
    await up();
    const namespace = await namespaceOf('ending');
    const names = Array.from({ length: 20 }, (_, index) => `task-${index}`);
    await Promise.all(names.map((name) => run(namespace, name, '/ending')));
    for (const name of names) await plane.admin.until(tasks, { namespace, name }, isHeld);
    // The others run for ever.
    const ends = names.slice(5).map((name) => succeed(namespace, name).catch(() => {}));
    await plane.admin.delete('v1/namespaces', { name: namespace });
    await Promise.all(ends);
    if (plane.controllers) for (const name of names) await plane.admin.untilGone(tasks, { namespace, name });
  });
});
