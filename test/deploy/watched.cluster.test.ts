import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { makeCertificate } from '../../src/cli/demo/certificate.ts';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import type { AnyObject } from '../cluster/kit/kube-object.ts';
import { hasKubectl } from '../cluster/kit/kubectl.ts';
import { type RunningEngine, startUp } from '../engine/running-engine.ts';
import { type ReceivedRequest, type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos } from '../support/telos-program.ts';
import { type Installed, install, kubectl, printedManifests, startSweep } from './installed.ts';
import { grantedRights } from './used-rights.ts';

const tasks = 'kelos.dev/v1alpha2/tasks';
const deliveries = 'telos.dev/v1alpha1/deliveries';
const bindings = 'rbac.authorization.k8s.io/v1/rolebindings';
const closed = 'there are no rights in a watched namespace';
const programs = inject('cluster') === undefined || !hasKubectl ? undefined : controlPlanePrograms();

const has =
  (finalizer: string) =>
  ({ metadata: { finalizers = [] } }: AnyObject): boolean =>
    finalizers.includes(finalizer);
const isHeld = has('telos.dev/on-completion');
const isKept = has('telos.dev/rights');

describe.skipIf(programs === undefined)('Telos in watched namespaces', () => {
  let plane: ControlPlane;
  let program: string;
  let receiver: Receiver;
  /** Asks for an hour's peace until it is well. */
  let busy: Receiver;
  let isWell = false;
  let folder: string;
  let count = 0;
  const ending: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const authority = await makeCertificate();
    [plane, program, receiver, busy, folder] = await Promise.all([
      startControlPlane(programs ?? ''),
      buildTelos(),
      startReceiver({ authority }),
      startReceiver({
        authority,
        answer: (_request, response) => {
          if (!isWell) response.writeHead(503, { 'retry-after': '3600' });
          response.end();
        },
      }),
      mkdtemp(join(tmpdir(), 'telos-watched-')),
    ]);
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    await installDefinitions(plane.admin);
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    isWell = false;
  });
  afterAll(async () => {
    await receiver.close();
    await busy.close();
    await rm(folder, { recursive: true });
    await plane.stop();
  });

  /** An installation of its own for two new namespaces. */
  async function installed(): Promise<{
    telos: Installed;
    home: string;
    one: string;
    other: string;
    apply: () => Promise<string>;
  }> {
    count += 1;
    const [home, one, other] = [`home-${count}`, `one-${count}`, `other-${count}`];
    for (const name of [one, other]) await kubectl(plane, ['create', 'namespace', name]);
    const printed = await printedManifests('-n', home, '--watch-namespace', `${one},${other}`);
    const telos = await install(plane, printed);
    ending.push(() => telos.close());
    return { telos, home, one, other, apply: () => kubectl(plane, ['apply', '-f', '-'], printed) };
  }

  async function up({ args, env }: Installed): Promise<RunningEngine> {
    const own = [
      '--host=127.0.0.1',
      '--lease-duration=5s',
      `--ca-file=${folder}/ca.pem`,
      `--egress-allow=127.0.0.1:${receiver.port}`,
      `--egress-allow=127.0.0.1:${busy.port}`,
    ];
    const engine = await startUp(program, [...args, ...own], env);
    ending.push(() => engine.stop());
    return engine;
  }

  /** Makes a Task with one hook, to the path of its name. */
  async function run(namespace: string, name: string, webhook: object = {}): Promise<void> {
    const hooks = [{ name: 'oncall', webhook: { url: `${receiver.origin}/${name}`, ...webhook } }];
    await plane.admin.applyObject({
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { name, namespace, annotations: { 'kelos.dev/on-completion': JSON.stringify(hooks) } },
      spec: { type: 'command', command: ['true'] },
    } as AnyObject);
  }

  async function held(namespace: string, name: string): Promise<void> {
    await run(namespace, name);
    await plane.admin.until(tasks, { namespace, name }, isHeld);
  }

  const succeed = (namespace: string, name: string): Promise<unknown> =>
    plane.admin.patchStatus(tasks, { namespace, name }, { phase: 'Succeeded' });

  /** Runs a Task to its end; resolves when its hook is told of it. */
  async function tell(namespace: string, name: string): Promise<void> {
    await run(namespace, name);
    await succeed(namespace, name);
    await arrived(name, 1);
  }

  /** Leaves a Delivery that waits for an hour. */
  async function leaveWaiting(namespace: string, name: string): Promise<void> {
    await run(namespace, name, { url: `${busy.origin}/${name}` });
    await succeed(namespace, name);
    await seen(deliveries, namespace, ({ spec, status }) => {
      const { task } = spec as { readonly task: { readonly name: string } };
      return task.name === name && (status as { readonly phase?: string })?.phase === 'Retrying';
    });
  }

  /** Resolves with what came to the path of a Task, as soon as it is so many. */
  async function arrived(name: string, wanted: number): Promise<ReceivedRequest[]> {
    const came = (): ReceivedRequest[] => receiver.requests.filter(({ path }) => path === `/${name}`);
    while (came().length < wanted) await receiver.received(receiver.requests.length + 1);
    return came();
  }

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

  const said = (engines: readonly RunningEngine[], text: string): string[] =>
    engines.flatMap(({ log }) => log.filter((line) => line.includes(text)));
  const refusals = (engine: RunningEngine): string[] =>
    engine.log.filter((line) => /"level":"(warn|error)".*(forbidden|403)/i.test(line));

  test('a namespace that is deleted goes, after a last attempt at what waited; the others go on, and it may come back', async () => {
    const { telos, one, other, apply } = await installed();
    const replicas = [await up(telos), await up(telos)];
    await leaveWaiting(one, 'waits');
    await tell(one, 'ended');
    for (let index = 0; index < 10; index += 1) await held(one, `running-${index}`);
    await plane.admin.until(bindings, { namespace: one, name: 'telos' }, isKept);
    await held(other, 'goes-on');

    isWell = true;
    await plane.admin.delete('v1/namespaces', { name: one });
    await busy.received(2);
    const [first, last] = busy.requests;
    expect(last?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    if (!plane.controllers) return;
    await plane.admin.untilGone('v1/namespaces', { name: one });
    await expect.poll(() => said(replicas, closed).length, { timeout: 10_000 }).toBe(2);
    expect(said(replicas, '"lastAttempt":"delivered"')).toHaveLength(1);

    await succeed(other, 'goes-on');
    await arrived('goes-on', 1);
    // Who starts now is ready for the others all the same.
    const late = await up(telos);
    await late.logged(closed);
    await tell(other, 'goes-on-too');

    await kubectl(plane, ['create', 'namespace', one]);
    await apply();
    await plane.admin.until(bindings, { namespace: one, name: 'telos' }, isKept);
    await tell(one, 'is-back');
    for (const engine of [...replicas, late]) expect(refusals(engine)).toEqual([]);
    expect(said([...replicas, late], closed)).toHaveLength(3);
  });

  test('rights that are taken away in a namespace that stays are let go at once, and what was held is told when they are back', async () => {
    const { telos, home, one, other, apply } = await installed();
    const engine = await up(telos);
    await held(one, 'left');
    const key = { namespace: one, name: 'telos' };
    await plane.admin.delete(bindings, key);
    await plane.admin.untilGone(bindings, key);
    await engine.logged(closed);
    await succeed(one, 'left');
    await tell(other, 'unhurt');
    await apply();
    await arrived('left', 1);
    expect(said([engine], closed)).toHaveLength(1);

    // As helm uninstall does, which leaves the ClusterRole.
    const all = [one, other].map((namespace) => ({ namespace, name: 'telos' }));
    for (const binding of all) await plane.admin.delete(bindings, binding);
    await plane.admin.delete('v1/serviceaccounts', { namespace: home, name: 'telos' });
    for (const binding of all) await plane.admin.untilGone(bindings, binding);
  });

  test('who ends lets go of the rights where nothing is held, and keeps them where something is', async () => {
    const { telos, one, other } = await installed();
    const others = { namespace: other, name: 'telos' };
    // What others put there is theirs.
    await plane.admin.patch(bindings, others, { metadata: { finalizers: ['example.com/other'] } });
    const engine = await up(telos);
    await held(one, 'stays-held');
    const { metadata } = await plane.admin.until(bindings, others, isKept);
    expect(metadata.finalizers).toEqual(['example.com/other', 'telos.dev/rights']);
    await engine.stop();
    expect(isKept(await plane.admin.get(bindings, { namespace: one, name: 'telos' }))).toBe(true);
    const left = await plane.admin.get<AnyObject>(bindings, others);
    expect(left.metadata.finalizers).toEqual(['example.com/other']);

    // Deleted while nobody is there: the next one lets go.
    await plane.admin.delete('v1/namespaces', { name: one });
    await up(telos);
    if (plane.controllers) await plane.admin.untilGone('v1/namespaces', { name: one });
  });

  test('every right is used', async () => {
    const { telos, one } = await installed();
    const engine = await up(telos);
    await kubectl(plane, ['create', 'secret', 'generic', 'headers', '-n', one, '--from-literal=x-a=b']);
    await run(one, 'with-secret', { secretRef: { name: 'headers' } });
    await succeed(one, 'with-secret');
    const { metadata } = await seen(deliveries, one, ({ status }) =>
      JSON.stringify(status ?? {}).includes('"Delivered"'),
    );
    await run(one, 'without-secret', { secretRef: { name: 'none' } });
    await succeed(one, 'without-secret');
    await seen('v1/events', one, ({ reason }) => reason === 'DeliveryWaits');
    const sweep = await startSweep(telos);
    ending.push(sweep.stop);
    await plane.admin.untilGone(deliveries, { namespace: one, name: metadata.name });
    await plane.admin.delete(bindings, { namespace: one, name: 'telos' });
    await plane.admin.untilGone(bindings, { namespace: one, name: 'telos' });
    expect(await engine.stop()).toBe(0);
    // Only what cannot be recorded is said on a Task.
    const unused = grantedRights(telos.rules).filter((right) => !telos.used.has(right));
    expect(unused).toEqual(['patch kelos.dev/tasks/status']);
  });
});
