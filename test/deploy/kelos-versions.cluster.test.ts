import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse } from 'yaml';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import { type Definition, installDefinition } from '../cluster/kit/definitions.ts';
import type { AnyObject, KubeObject } from '../cluster/kit/kube-object.ts';
import { hasKubectl } from '../cluster/kit/kubectl.ts';
import { type RunningEngine, startUp } from '../engine/running-engine.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos } from '../support/telos-program.ts';
import { type Installed, install, kubectl, mayTelos, printedManifests, roleWithout } from './installed.ts';

const deliveries = 'telos.dev/v1alpha1/deliveries';
const programs = inject('cluster') === undefined || !hasKubectl ? undefined : controlPlanePrograms();

/** What Kelos's controller writes when a Task has ended. */
const ended = {
  phase: 'Succeeded',
  jobName: 'nightly',
  podName: 'nightly-abcde',
  startTime: '2026-01-02T03:04:05Z',
  completionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
  message: 'Task completed successfully',
  outputs: ['branch: fix', 'cost-usd: 0.12'],
  results: { branch: 'fix', 'cost-usd': '0.12' },
};

describe.skipIf(programs === undefined).each([
  { kelos: 'older', version: 'v1alpha1', hasConditions: false },
  { kelos: 'newer', version: 'v1alpha2', hasConditions: true },
])('beside the Tasks of a $kelos Kelos, Telos', ({ kelos, version, hasConditions }) => {
  const tasks = `kelos.dev/${version}/tasks`;
  const namespace = 'team';
  let plane: ControlPlane;
  let receiver: Receiver;
  let folder: string;
  let telos: Installed;
  let engine: RunningEngine;

  beforeAll(async () => {
    let program: string;
    [plane, program, receiver, folder] = await Promise.all([
      // What Kelos makes belongs to what is not there: nobody is to collect it.
      startControlPlane(programs ?? '', { controllers: false }),
      buildTelos(),
      startReceiver(),
      mkdtemp(join(tmpdir(), 'telos-kelos-')),
    ]);
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    const file = join(import.meta.dirname, '..', 'cluster', 'kelos-crds', `${kelos}.yaml`);
    await installDefinition(plane.admin, parse(readFileSync(file, 'utf8')) as Definition);
    await plane.admin.create('v1/namespaces', { metadata: { name: namespace } });
    telos = await install(plane, await printedManifests('--mode', 'companion'));
    const own = [
      '--host=127.0.0.1',
      `--ca-file=${folder}/ca.pem`,
      `--egress-allow=127.0.0.1:${receiver.port}`,
    ];
    engine = await startUp(program, [...telos.args, ...own], telos.env);
  });
  afterAll(async () => {
    await engine?.stop();
    await telos?.close();
    await receiver?.close();
    await plane?.stop();
    await rm(folder, { recursive: true });
  });

  const get = (name: string): Promise<AnyObject> => plane.admin.get<AnyObject>(tasks, { namespace, name });
  const isHeld = ({ metadata }: AnyObject): boolean =>
    metadata.finalizers?.includes('telos.dev/on-completion') === true;

  /** A Task with a hook, with what else its maker puts into its metadata. */
  async function create(name: string, metadata: object = {}): Promise<AnyObject> {
    const hooks = [{ name: 'oncall', webhook: { url: `${receiver.origin}/${name}` } }];
    const annotations = { 'kelos.dev/on-completion': JSON.stringify(hooks) };
    return plane.admin.create<AnyObject>(tasks, {
      apiVersion: `kelos.dev/${version}`,
      kind: 'Task',
      metadata: { namespace, name, annotations, ...metadata },
      spec: { type: 'claude-code', prompt: 'Mend it.', credentials: { type: 'none' } },
    } as KubeObject as AnyObject);
  }

  /** Resolves with the Delivery of a Task when it has arrived. */
  async function delivered(name: string): Promise<AnyObject> {
    const isIt = ({ spec, status }: AnyObject): boolean =>
      (spec as { task: { name: string } }).task.name === name &&
      (status as { phase?: string } | undefined)?.phase === 'Delivered';
    const find = async (): Promise<AnyObject | undefined> =>
      (await plane.admin.list<AnyObject>(deliveries, { namespace })).items.find(isIt);
    await expect.poll(find, { timeout: 20_000 }).toBeDefined();
    return (await find()) as AnyObject;
  }

  /** Writes to Tasks so far, as the API server counts them. */
  async function patches(): Promise<number> {
    const metrics = await plane.admin.raw('/metrics');
    return [...metrics.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)]
      .filter(([, labels = '']) => /resource="tasks"/.test(labels) && /verb="PATCH"/.test(labels))
      .reduce((sum, [, , count]) => sum + Number(count), 0);
  }

  test('tells of a Task as its TaskSpawner makes it, and leaves what Kelos wrote as it is', async () => {
    const { spec } = await create('nightly', {
      labels: { 'kelos.dev/taskspawner': 'night' },
      finalizers: ['kelos.dev/finalizer'],
      ownerReferences: [
        {
          apiVersion: `kelos.dev/${version}`,
          kind: 'TaskSpawner',
          name: 'night',
          uid: 'u-1',
          controller: true,
        },
      ],
    });
    await plane.admin.until<AnyObject>(tasks, { namespace, name: 'nightly' }, isHeld);
    await plane.admin.patchStatus(tasks, { namespace, name: 'nightly' }, ended);
    await delivered('nightly');
    const request = receiver.requests.find(({ path }) => path === '/nightly');
    expect(JSON.parse(String(request?.body))).toMatchObject({
      task: 'nightly',
      namespace,
      phase: 'Succeeded',
      spawner: 'night',
      agentType: 'claude-code',
      results: ended.results,
    });
    const free = await plane.admin.until<AnyObject>(
      tasks,
      { namespace, name: 'nightly' },
      (task) => !isHeld(task),
    );
    expect(free).toMatchObject({ spec, status: ended, metadata: { finalizers: ['kelos.dev/finalizer'] } });
    expect(free.status).toEqual(ended);
  });

  test('tells of a Task that a person made, in each version that is served', async () => {
    await create('by-hand');
    const older = { namespace, name: 'by-hand' };
    await plane.admin.patchStatus('kelos.dev/v1alpha1/tasks', older, {
      phase: 'Failed',
      message: 'Task failed',
    });
    const { spec } = await delivered('by-hand');
    expect(spec).toMatchObject({ task: { name: 'by-hand', phase: 'Failed' } });
  });

  test('says why a Task is held by an Event, by a condition where there is one, and writes little', async () => {
    await create('held');
    await plane.admin.until<AnyObject>(tasks, { namespace, name: 'held' }, isHeld);
    await kubectl(
      plane,
      ['replace', '-f', '-'],
      JSON.stringify(await roleWithout(plane, 'create', 'deliveries')),
    );
    const may = (): Promise<string> =>
      mayTelos(plane, 'telos-system', 'create', 'deliveries', '-n', namespace);
    await expect.poll(may, { timeout: 20_000 }).toBe('no');
    const before = await patches();
    await plane.admin.patchStatus(tasks, { namespace, name: 'held' }, { phase: 'Succeeded' });
    const said = async (): Promise<string | undefined> =>
      (await plane.admin.list<AnyObject>('v1/events', { namespace })).items.find(
        ({ reason }) => reason === 'RecordingFailed',
      )?.['message'] as string | undefined;
    await expect.poll(said, { timeout: 40_000 }).toMatch(/cannot be recorded, so it is held: .*deliveries/);
    const condition = async (): Promise<boolean> =>
      JSON.stringify((await get('held')).status).includes('CompletionRecorded');
    await expect.poll(condition).toBe(hasConditions);
    // Its phase, and what the tries to say so took: no storm, although what is written may not stay.
    expect((await patches()) - before).toBeLessThanOrEqual(6);
    await kubectl(plane, ['apply', '-f', '-'], await printedManifests('--mode', 'companion'));
    await expect.poll(may, { timeout: 20_000 }).toBe('yes');
    await kubectl(plane, ['label', 'tasks.kelos.dev', 'held', '-n', namespace, 'again=now']);
    await delivered('held');
    await plane.admin.until<AnyObject>(tasks, { namespace, name: 'held' }, (task) => !isHeld(task));
    expect(await condition()).toBe(false);
  });
});
