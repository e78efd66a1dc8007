import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import type { AnyObject, KubeObject } from '../cluster/kit/kube-object.ts';
import { hasKubectl } from '../cluster/kit/kubectl.ts';
import { type RunningEngine, startUp } from '../engine/running-engine.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos } from '../support/telos-program.ts';
import {
  type Installed,
  install,
  kubectl,
  mayTelos,
  printedManifests,
  roleWithout,
  startSweep,
} from './installed.ts';
import { grantedRights } from './used-rights.ts';

const crds = join(import.meta.dirname, '..', '..', 'deploy', 'crds');
const tasks = 'kelos.dev/v1alpha2/tasks';
const deliveries = 'telos.dev/v1alpha1/deliveries';
const programs = inject('cluster') === undefined || !hasKubectl ? undefined : controlPlanePrograms();

interface DeliveryStatus {
  readonly phase?: string;
  readonly attemptCount?: number;
}

/** A Task as a person writes it who has Kelos: the hooks stand in the annotation. */
function taskYaml(name: string, url: string): string {
  const hooks = [{ name: 'oncall', webhook: { url, secretRef: { name: 'headers' } } }];
  return JSON.stringify({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { name, annotations: { 'kelos.dev/on-completion': JSON.stringify(hooks) } },
    spec: { type: 'command', command: ['true'] },
  });
}

describe.skipIf(programs === undefined)('Telos installed beside Kelos on an empty cluster', () => {
  let plane: ControlPlane;
  let program: string;
  let receiver: Receiver;
  let folder: string;
  const ending: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    [plane, program, receiver, folder] = await Promise.all([
      startControlPlane(programs ?? ''),
      buildTelos(),
      startReceiver(),
      mkdtemp(join(tmpdir(), 'telos-companion-')),
    ]);
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    // Kelos was there first.
    for (const name of readdirSync(crds).filter((file) => file.includes('kelos.dev'))) {
      await plane.admin.apply(readFileSync(join(crds, name), 'utf8'));
    }
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });
  afterAll(async () => {
    await receiver.close();
    await rm(folder, { recursive: true });
    await plane.stop();
  });

  async function installed(...args: readonly string[]): Promise<Installed> {
    const one = await install(plane, await printedManifests(...args));
    ending.push(() => one.close());
    return one;
  }

  async function up({ args, env }: Installed): Promise<RunningEngine> {
    const own = [
      '--host=127.0.0.1',
      `--ca-file=${folder}/ca.pem`,
      `--egress-allow=127.0.0.1:${receiver.port}`,
    ];
    const engine = await startUp(program, [...args, ...own], env);
    ending.push(() => engine.stop());
    return engine;
  }

  async function namespaceWithSecret(name: string): Promise<void> {
    await kubectl(plane, ['create', 'namespace', name]);
    await kubectl(plane, [
      'create',
      'secret',
      'generic',
      'headers',
      '-n',
      name,
      '--from-literal=x-team=night',
    ]);
  }

  const settled = async (namespace: string, task: string, attempts: number): Promise<KubeObject> =>
    seen(deliveries, namespace, ({ spec, status }) => {
      const { phase, attemptCount } = (status ?? {}) as DeliveryStatus;
      return (
        JSON.stringify(spec).includes(`"name":"${task}"`) &&
        phase === 'Delivered' &&
        attemptCount === attempts
      );
    });

  /** Resolves when one of a collection's objects is as wanted. */
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

  const succeed = (namespace: string, name: string): Promise<string> =>
    kubectl(plane, [
      ...['patch', 'task', name, '-n', namespace, '--subresource=status', '--type=merge'],
      ...['-p', '{"status":{"phase":"Succeeded"}}'],
    ]);

  test('tells a hook, shows it with kubectl, tells it again on request, and is refused nothing', async () => {
    const telos = await installed('--mode', 'companion');
    const engine = await up(telos);
    await namespaceWithSecret('team');
    await kubectl(plane, ['apply', '-n', 'team', '-f', '-'], taskYaml('nightly', `${receiver.origin}/done`));
    await succeed('team', 'nightly');
    await receiver.received(1);
    expect(receiver.requests[0]).toMatchObject({ path: '/done', headers: { 'x-team': 'night' } });

    const { metadata } = await settled('team', 'nightly', 1);
    const table = await kubectl(plane, ['get', 'deliveries', '-n', 'team']);
    expect(table.split('\n')[0]?.split(/ {2,}/)).toEqual([
      'NAME',
      'TASK',
      'HOOK',
      'PHASE',
      'ATTEMPTS',
      'REASON',
      'NEXT',
      'AGE',
    ]);
    expect(table).toMatch(new RegExp(`^${metadata.name} +nightly +oncall +Delivered +1 `, 'm'));
    const story = await kubectl(plane, ['describe', 'delivery', metadata.name, '-n', 'team']);
    expect(story).toMatch(/Phase: +Delivered/);
    expect(story).toMatch(/Status Code: +200|Http Status: +200|Status: +200/i);

    await kubectl(plane, ['annotate', 'delivery', metadata.name, '-n', 'team', 'telos.dev/redeliver=now']);
    await receiver.received(2);
    expect(receiver.requests[1]?.headers['webhook-id']).toBe(receiver.requests[0]?.headers['webhook-id']);
    await settled('team', 'nightly', 2);
    const task = await plane.admin.get<AnyObject>(tasks, { namespace: 'team', name: 'nightly' });
    expect(task.metadata.annotations).toMatchObject({ 'kelos.dev/webhook-report-phase': 'Succeeded' });
    expect(task.metadata.finalizers ?? []).toEqual([]);

    // Kelos serves two versions of the same Tasks.
    const older = taskYaml('older', `${receiver.origin}/older`).replace('v1alpha2', 'v1alpha1');
    expect(older).toContain('kelos.dev/v1alpha1');
    await kubectl(plane, ['apply', '-n', 'team', '-f', '-'], older);
    await succeed('team', 'older');
    await receiver.received(3);
    expect(receiver.requests[2]?.path).toBe('/older');
    await settled('team', 'older', 1);
    expect(engine.log.filter((line) => /forbidden|403/i.test(line))).toEqual([]);
  });

  test('uses every right that it has', async () => {
    const telos = await installed();
    const engine = await up(telos);
    // A completion that is told: Tasks, Deliveries, a Secret.
    await namespaceWithSecret('plain');
    await kubectl(plane, ['apply', '-n', 'plain', '-f', '-'], taskYaml('one', receiver.origin));
    await succeed('plain', 'one');
    const { metadata } = await settled('plain', 'one', 1);
    // A Secret that is missing: an Event.
    await kubectl(plane, ['create', 'namespace', 'bare']);
    await kubectl(plane, ['apply', '-n', 'bare', '-f', '-'], taskYaml('two', receiver.origin));
    await succeed('bare', 'two');
    await seen('v1/events', 'bare', ({ reason }) => reason === 'DeliveryWaits');
    // A right that is taken away: a condition of the Task. Given back, what was held is told.
    await kubectl(plane, ['create', 'namespace', 'held']);
    await kubectl(plane, ['apply', '-n', 'held', '-f', '-'], taskYaml('three', receiver.origin));
    await kubectl(plane, ['create', 'secret', 'generic', 'headers', '-n', 'held', '--from-literal=x-a=b']);
    await kubectl(
      plane,
      ['replace', '-f', '-'],
      JSON.stringify(await roleWithout(plane, 'create', 'deliveries')),
    );
    const may = (): Promise<string> => mayTelos(plane, 'telos-system', 'create', 'deliveries', '-n', 'held');
    await expect.poll(may, { timeout: 20_000 }).toBe('no');
    await succeed('held', 'three');
    await seen(tasks, 'held', ({ status }) => JSON.stringify(status).includes('"CompletionRecorded"'));
    await kubectl(plane, ['apply', '-f', '-'], await printedManifests());
    await expect.poll(may, { timeout: 20_000 }).toBe('yes');
    // Any change makes it look again at once.
    await kubectl(plane, ['label', 'task', 'three', '-n', 'held', 'again=now']);
    await settled('held', 'three', 1);
    // A Delivery whose time is over: it is removed.
    const gone = plane.admin.untilGone(deliveries, { namespace: 'plain', name: metadata.name });
    const sweep = await startSweep(telos);
    ending.push(sweep.stop);
    await gone;
    // Who ends says so to the other replicas.
    expect(await engine.stop()).toBe(0);
    expect([...telos.used].sort()).toEqual(grantedRights(telos.rules));
  });

  test('in watched namespaces only, it sees, reads and tells nothing of the others', async () => {
    await kubectl(plane, ['create', 'namespace', 'ops']);
    const strict = 'pod-security.kubernetes.io/enforce=restricted';
    await kubectl(plane, ['label', 'namespace', 'ops', strict]);
    for (const name of ['seen', 'hidden']) await namespaceWithSecret(name);
    const telos = await installed('-n', 'ops', '--watch-namespace', 'seen');
    const engine = await up(telos);
    const before = receiver.requests.length;
    // The hidden one ends first.
    for (const name of ['hidden', 'seen']) {
      await kubectl(plane, ['apply', '-n', name, '-f', '-'], taskYaml('job', `${receiver.origin}/${name}`));
      await succeed(name, 'job');
    }
    await settled('seen', 'job', 1);
    expect(receiver.requests.slice(before).map(({ path }) => path)).toEqual(['/seen']);
    expect(engine.log.filter((line) => /forbidden|403/i.test(line))).toEqual([]);
    const may = (...question: readonly string[]): Promise<string> => mayTelos(plane, 'ops', ...question);
    expect(await may('get', 'secrets', '-n', 'seen')).toBe('yes');
    for (const question of [
      ['get', 'secrets', '-n', 'hidden'],
      ['get', 'secrets', '-n', 'ops'],
      ['list', 'secrets', '-n', 'seen'],
      ['watch', 'secrets', '-n', 'seen'],
      ['list', 'tasks.kelos.dev', '-A'],
      ['create', 'pods', '-n', 'ops'],
    ]) {
      expect(await may(...question), question.join(' ')).toBe('no');
    }
    // Its own Pod is one that the strictest standard lets in.
    if (plane.controllers) await seen('v1/pods', 'ops', ({ metadata }) => metadata.name.startsWith('telos-'));
  });

  test('lets go of the Tasks that it holds when it is about to be uninstalled', async () => {
    await up(await installed());
    await namespaceWithSecret('leaving');
    await kubectl(plane, ['apply', '-n', 'leaving', '-f', '-'], taskYaml('running', receiver.origin));
    const held = ({ metadata }: AnyObject): boolean =>
      metadata.finalizers?.includes('telos.dev/on-completion') === true;
    await seen(tasks, 'leaving', held);
    await kubectl(plane, ['annotate', 'tasks.kelos.dev', '--all', '-A', 'telos.dev/skip-completion=true']);
    await seen(tasks, 'leaving', (task) => !held(task));
  });

  test('can be applied again, and changes nothing then', async () => {
    const printed = await printedManifests();
    await kubectl(plane, ['apply', '-f', '-'], printed);
    const lines = (await kubectl(plane, ['apply', '-f', '-'], printed)).trim().split('\n');
    // kubectl says so of every budget's selector, which it always replaces.
    const quirk = 'poddisruptionbudget.policy/telos configured';
    expect(lines.filter((line) => !line.endsWith(' unchanged') && line !== quirk)).toEqual([]);
  });
});
