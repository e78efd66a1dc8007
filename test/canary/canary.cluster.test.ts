import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ResourceStore } from '../../src/store/store.ts';
import { describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import { ClusterClient } from '../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import { tokenAs } from '../cluster/kit/roles.ts';
import { type RunningEngine, startUp } from '../engine/running-engine.ts';
import { kubeconfigAs, openClusterStore } from '../store/kubernetes/cluster-store.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos, telos } from '../support/telos-program.ts';
import { type Canary, leaksIn, makeCanary } from './canary.ts';
import { startEcho } from './echo.ts';
import { type CanaryManifest, canaryManifest } from './manifest.ts';
import { hasOutcome, untilDeliveries } from './until-deliveries.ts';

/** All that Telos writes on a cluster, and what is made of it. */
const collections = [
  'kelos.dev/v1alpha2/tasks',
  'kelos.dev/v1alpha2/taskspawners',
  'telos.dev/v1alpha1/deliveries',
  'v1/events',
  'v1/configmaps',
  'v1/pods',
  'batch/v1/jobs',
  'coordination.k8s.io/v1/leases',
];

describeOnCluster('a secret in every place that takes one, on Kubernetes', () => {
  const said = new Map<string, string>();
  const ending: (() => Promise<unknown>)[] = [];
  let admin: ClusterClient;
  let namespace: string;
  let store: ResourceStore;
  let receiver: Receiver;
  let untrusted: Receiver;
  let manifest: CanaryManifest;
  let engine: RunningEngine;
  let kubeconfig: string;
  let folder: string;
  let hidden: readonly Canary[];
  /** Whether Pods run, on a stand-in node. */
  let standIn: boolean;

  beforeAll(async () => {
    const shared = sharedCluster();
    standIn = shared.standIn;
    admin = ClusterClient.fromKubeconfig(shared.kubeconfig);
    ending.push(() => admin.close());
    const [program] = await Promise.all([buildTelos(), installDefinitions(admin)]);
    namespace = await admin.createNamespace('canary', { serviceAccount: shared.controllers });
    ending.push(() => admin.delete('v1/namespaces', { name: namespace }));
    [receiver, untrusted, store, folder] = await Promise.all([
      startEcho(),
      startReceiver(),
      tokenAs(admin, 'everybody', namespace).then((token) => openClusterStore(shared.kubeconfig, { token })),
      mkdtemp(join(tmpdir(), 'telos-canary-')),
    ]);
    ending.push(
      () => rm(folder, { recursive: true }),
      () => store.close(),
      () => untrusted.close(),
      () => receiver.close(),
    );
    const token = await tokenAs(admin, 'standalone', namespace);
    const made = await kubeconfigAs(shared.kubeconfig, { token });
    kubeconfig = made.file;
    ending.push(() => made.remove());
    manifest = canaryManifest({ echo: receiver.origin, untrusted: untrusted.origin });
    const proxy = makeCanary('the password of a proxy in the environment of the engine');
    hidden = [...manifest.secret, proxy, tokenCanary(token)];
    await writeFile(join(folder, 'ca.pem'), receiver.caPem);
    await writeFile(join(folder, 'manifest.yaml'), manifest.text);
    await admin.apply(manifest.text, namespace);
    engine = await startUp(
      program,
      [
        ...['up', '--spawn', '--run', '--report', '--store=kubernetes', `--watch-namespace=${namespace}`],
        ...['--debug', '--log-format=json', '--log-level=debug'],
        ...['--egress-allow=127.0.0.1/32', `--ca-file=${folder}/ca.pem`],
      ],
      { KUBECONFIG: kubeconfig, HTTPS_PROXY: `http://user:${proxy.value}@127.0.0.1:1` },
    );
    ending.push(() => engine.stop());
    await runEverything();
  });

  afterAll(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  /** The token of somebody who may do everything in the namespace, and nothing elsewhere. */
  async function runEverything(): Promise<void> {
    const body = '{"id":"one"}';
    for (const key of ['wrong', manifest.sourceSecret]) {
      const signature = `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;
      const headers = { 'x-hub-signature-256': signature };
      const answer = await fetch(`${engine.url}/webhook/events`, { method: 'POST', headers, body });
      said.set(`event ${answer.status}`, await answer.text());
    }
    const where = { namespace };
    const tasks = (await store.list('Task', where)).items.map(({ metadata }) => metadata.name);
    expect(tasks).toHaveLength(2);
    if (!standIn)
      for (const name of tasks)
        await admin.patchStatus(collections[0] ?? '', { namespace, name }, { phase: 'Failed' });
    await untilDeliveries(store, where, (all) => all.length === manifest.hookCount && all.every(hasOutcome));
    const names = (await store.list('Delivery', where)).items.map(({ metadata }) => metadata.name);
    const quiet = tasks.filter((name) => name.startsWith('second'));
    for (const args of [
      ...['all', 'deliveries', 'events'].flatMap((kind) =>
        [[], ['-o', 'json'], ['-o', 'yaml']].map((output) => ['get', kind, ...output]),
      ),
      ['get', 'secrets'],
      ...['ts', 'tasks', 'deliveries', 'secrets'].map((kind) => ['describe', kind]),
      ['deliveries', 'list', '-o', 'wide'],
      ['deliveries', 'show', ...names],
      ...(standIn ? quiet.map((name) => ['logs', `task/${name}`]) : []),
      ['doctor'],
      ['hooks', 'test', '-f', join(folder, 'manifest.yaml'), '--print', '-o', 'json'],
      ['apply', '-f', join(folder, 'manifest.yaml')],
      ['deliveries', 'redeliver', ...names.slice(0, 2)],
      ['deliveries', 'recover', '--since', '24h'],
      ...tasks.map((name) => ['deliveries', 'replay', name]),
    ]) {
      const { stdout, stderr } = await telos([...args, '--store', 'kubernetes', '-n', namespace, '--debug'], {
        env: { KUBECONFIG: kubeconfig },
      });
      said.set(args.join(' ').replaceAll(folder, ''), stdout + stderr);
    }
    for (const path of ['/metrics', '/readyz', '/healthz'])
      said.set(path, await (await fetch(`${engine.url}${path}`)).text());
  }

  test('is sent to its receivers', () => {
    const sent = receiver.requests.map(({ path, headers }) => path + JSON.stringify(headers)).join('\n');
    expect(leaksIn(sent, manifest.secret)).toEqual(
      expect.arrayContaining(['urlFrom', 'an Authorization header', 'a header with odd characters']),
    );
  });

  test('appears in no log, metric, answer, error or output', () => {
    said.set('the log', engine.log.join('\n'));
    const leaks = [...said].flatMap(([where, text]) =>
      leaksIn(text, hidden).map((place) => `${where}: ${place}`),
    );
    expect(leaks).toEqual([]);
    expect(said.size).toBeGreaterThan(20);
    expect(leaksIn(engine.log.join('\n'), manifest.clear)).toEqual([]);
  });

  test('stands in no object of the cluster but Secrets', async () => {
    const leaks: string[] = [];
    const seen: string[] = [];
    for (const collection of collections) {
      const { items } = await admin.list(collection, { namespace });
      if (items.length > 0) seen.push(collection);
      for (const item of items) {
        const text = JSON.stringify(item);
        const never = collection === 'v1/events' ? [...hidden, ...manifest.clear] : hidden;
        leaks.push(...leaksIn(text, never).map((place) => `${collection} ${item.metadata.name}: ${place}`));
      }
    }
    expect(leaks).toEqual([]);
    expect(seen).toEqual(
      expect.arrayContaining(collections.slice(0, 4).concat(standIn ? ['batch/v1/jobs'] : [])),
    );
  });
});

/** Of a token the API server's signature is the secret; it is written as it is, or in base64 in a kubeconfig. */
function tokenCanary(token: string): Canary {
  const signature = token.split('.').at(-1) ?? '';
  const forms = [signature.slice(0, 40), signature.slice(-40)].map((part) => part.toLowerCase());
  return { place: 'the token of the kubeconfig', value: token, forms };
}
