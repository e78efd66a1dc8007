import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import type { AnyObject } from '../cluster/kit/kube-object.ts';
import { hasKubectl } from '../cluster/kit/kubectl.ts';
import { type StandInNode, startStandInNode } from '../cluster/stand-in-node/stand-in-node.ts';
import { sendEvent, startUp } from '../engine/running-engine.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos } from '../support/telos-program.ts';
import { install, kubectl, printedManifests, startSweep } from './installed.ts';
import { grantedRights } from './used-rights.ts';

const namespace = 'work';
const tasks = 'kelos.dev/v1alpha2/tasks';
const programs = inject('cluster') === undefined || !hasKubectl ? undefined : controlPlanePrograms();

describe.skipIf(programs === undefined)('Telos installed without Kelos, for one namespace', () => {
  let plane: ControlPlane;
  let node: StandInNode;
  let program: string;
  let receiver: Receiver;
  let folder: string;
  const ending: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    [plane, program, receiver, folder] = await Promise.all([
      startControlPlane(programs ?? ''),
      buildTelos(),
      startReceiver(),
      mkdtemp(join(tmpdir(), 'telos-standalone-')),
    ]);
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    node = await startStandInNode(plane.admin);
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });
  afterAll(async () => {
    await node.stop();
    await receiver.close();
    await rm(folder, { recursive: true });
    await plane.stop();
  });

  /** A Task that runs a shell script. */
  const task = (name: string, script: string, spec: object = {}): object => ({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { name },
    spec: { type: 'command', image: 'busybox', command: ['sh', '-c', script], ...spec },
  });
  const apply = (object: object): Promise<string> =>
    kubectl(plane, ['apply', '-n', namespace, '-f', '-'], JSON.stringify(object));
  const untilPhase = (name: string, phase: string): Promise<AnyObject> =>
    plane.admin.until(
      tasks,
      { namespace, name },
      ({ status }) => (status as { phase?: string })?.phase === phase,
    );

  test('an event becomes a Task, a Job, a Pod and a webhook, and every right is used for it', async () => {
    await kubectl(plane, ['create', 'namespace', namespace]);
    await kubectl(plane, ['create', 'secret', 'generic', 'headers', '-n', namespace, '--from-literal=x-a=b']);
    const telos = await install(
      plane,
      await printedManifests('--mode=standalone', `--watch-namespace=${namespace}`),
    );
    ending.push(() => telos.close());
    const own = [
      '--host=127.0.0.1',
      `--ca-file=${folder}/ca.pem`,
      `--egress-allow=127.0.0.1:${receiver.port}`,
    ];
    const engine = await startUp(program, [...telos.args, ...own], telos.env);
    ending.push(() => engine.stop());

    const url = `${receiver.origin}/done`;
    const { spec: taskTemplate } = task('', 'echo hello') as { spec: object };
    await apply({
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'TaskSpawner',
      metadata: { name: 'build' },
      spec: {
        when: { webhook: { source: 'ci', fieldMapping: { id: '$.id', title: '$.title' } } },
        taskTemplate: { ...taskTemplate, promptTemplate: '{{.Title}}' },
        onCompletion: { hooks: [{ name: 'all', webhook: { url, secretRef: { name: 'headers' } } }] },
      },
    });
    await plane.admin.until(
      'kelos.dev/v1alpha2/taskspawners',
      { namespace, name: 'build' },
      ({ status }) => (status as { phase?: string })?.phase === 'Running',
    );
    const event = { id: '7', title: 'red' };
    const answer = await sendEvent(engine.url, 'ci', event);
    expect(answer.body.results).toMatchObject([{ outcome: 'created' }]);
    expect((await sendEvent(engine.url, 'ci', event)).body.results).toMatchObject([{ outcome: 'duplicate' }]);
    await receiver.received(1);
    const [delivery] = (await plane.admin.list('telos.dev/v1alpha1/deliveries', { namespace })).items;
    expect(JSON.parse(receiver.requests[0]?.body.toString() ?? '')).toMatchObject({ phase: 'Succeeded' });

    // One whose time is over, one that is deleted while it runs, one whose Job's name is taken.
    await apply(task('short', 'true', { ttlSecondsAfterFinished: 1 }));
    await plane.admin.untilGone(tasks, { namespace, name: 'short' });
    await apply(task('long', 'sleep 600'));
    await untilPhase('long', 'Running');
    await kubectl(plane, ['delete', 'task', 'long', '-n', namespace]);
    await plane.admin.untilGone('batch/v1/jobs', { namespace, name: 'long' });
    await kubectl(plane, ['create', 'job', 'taken', '-n', namespace, '--image=busybox', '--', 'true']);
    await apply(task('taken', 'true'));
    await plane.admin.until(tasks, { namespace, name: 'taken' }, ({ status }) =>
      JSON.stringify(status ?? {}).includes('Job'),
    );
    // One whose Pod cannot be made.
    await apply(task('nobody', 'true', { podOverrides: { serviceAccountName: 'none' } }));
    await plane.admin.until(tasks, { namespace, name: 'nobody' }, ({ status }) =>
      JSON.stringify(status ?? {}).includes('gets no Pod: error looking up service account'),
    );
    const key = { namespace, name: delivery?.metadata.name ?? '' };
    const sweep = await startSweep(telos);
    ending.push(sweep.stop);
    await plane.admin.untilGone('telos.dev/v1alpha1/deliveries', key);

    // A namespace that goes while a Task runs in it, with the rights that are in it.
    await apply(task('runs', 'sleep 600'));
    await untilPhase('runs', 'Running');
    await kubectl(plane, ['delete', 'namespace', namespace, '--wait=false']);
    await plane.admin.untilGone('v1/namespaces', { name: namespace });
    await engine.logged('there are no rights in a watched namespace');

    // Who ends says so to the other replicas.
    expect(await engine.stop()).toBe(0);
    expect([...telos.used].sort()).toEqual(grantedRights(telos.rules));
    expect(engine.log.filter((line) => /forbidden|403/i.test(line))).toEqual([]);
  });

  test('uninstalled, it leaves no Task that cannot be deleted, nor a namespace that never ends', async () => {
    const place = 'left';
    await kubectl(plane, ['create', 'namespace', place]);
    const telos = await install(plane, await printedManifests('--mode=standalone'));
    ending.push(() => telos.close());
    const own = [
      '--host=127.0.0.1',
      `--ca-file=${folder}/ca.pem`,
      `--egress-allow=127.0.0.1:${receiver.port}`,
    ];
    const engine = await startUp(program, [...telos.args, ...own], telos.env);
    ending.push(() => engine.stop());
    const hooks = [{ name: 'all', webhook: { url: `${receiver.origin}/left` } }];
    const told = task('told', 'true') as { readonly metadata: object };
    const annotations = { 'kelos.dev/on-completion': JSON.stringify(hooks) };
    const made = [
      task('good', 'true'),
      task('bad', 'exit 1'),
      { ...told, metadata: { ...told.metadata, annotations } },
      task('running', 'exec sleep 600'),
    ];
    const list = { apiVersion: 'v1', kind: 'List', items: made };
    await kubectl(plane, ['apply', '-n', place, '-f', '-'], JSON.stringify(list));
    const isFree = ({ metadata, status }: AnyObject): boolean =>
      (status as { completionTime?: string })?.completionTime !== undefined &&
      metadata.finalizers === undefined;
    for (const name of ['good', 'bad', 'told'])
      await plane.admin.until(tasks, { namespace: place, name }, isFree);
    const running = { namespace: place, name: 'running' };
    await plane.admin.until(tasks, running, ({ metadata }) => metadata.finalizers !== undefined);

    // As docs/kubernetes.md says.
    await kubectl(plane, ['annotate', 'tasks.kelos.dev', '--all', '-A', 'telos.dev/skip-completion=true']);
    expect(await engine.stop()).toBe(0);
    await kubectl(plane, ['delete', 'namespace', 'telos-system', '--wait=false']);
    await kubectl(plane, ['delete', 'clusterrolebinding,clusterrole', '-l', 'app.kubernetes.io/name=telos']);
    await kubectl(plane, ['delete', 'task', 'good', '-n', place]);
    const byHand = '{"metadata": {"finalizers": null}}';
    await kubectl(plane, ['patch', 'task', 'running', '-n', place, '--type=merge', '-p', byHand]);
    await kubectl(plane, ['delete', 'namespace', place, '--wait=false']);
    await plane.admin.untilGone('v1/namespaces', { name: place });
    await plane.admin.untilGone('v1/namespaces', { name: 'telos-system' });
  });
});
