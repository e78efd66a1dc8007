import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from '../cluster/kit/control-plane.ts';
import type { AnyObject } from '../cluster/kit/kube-object.ts';
import { telos } from '../support/telos-program.ts';
import { printedManifests } from './installed.ts';

const chart = join(import.meta.dirname, '..', '..', 'deploy', 'chart');
const definition = join('files', 'crds', 'deliveries.telos.dev.yaml');
const helmProgram = process.env['TELOS_TEST_HELM'] ?? '';
const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

function helm(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      helmProgram,
      args,
      { maxBuffer: 64 * 1024 * 1024, env: { ...process.env, ...env } },
      (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stdout + stderr))),
    );
  });
}

/** The objects of a text, by what they are called, without what only says who brought them. */
function objectsOf(text: string): ReadonlyMap<string, AnyObject> {
  const objects = parseAllDocuments(text)
    .map((document) => document.toJS() as AnyObject | null)
    .filter((object) => object !== null);
  return new Map(objects.map((object) => [nameOf(object), withoutOrigin(object)]));
}

function nameOf({ kind, metadata: { namespace, name } }: AnyObject): string {
  return [kind, namespace, name].join(' ');
}

function withoutOrigin(object: AnyObject): AnyObject {
  const { labels, annotations, ...metadata } = object.metadata;
  const { 'helm.sh/chart': _chart, 'app.kubernetes.io/managed-by': _by, ...kept } = labels ?? {};
  const { 'helm.sh/resource-policy': _policy, ...noted } = annotations ?? {};
  const own = {
    ...(Object.keys(kept).length === 0 ? {} : { labels: kept }),
    ...(Object.keys(noted).length === 0 ? {} : { annotations: noted }),
  };
  return { ...object, metadata: { ...metadata, ...own } };
}

describe.skipIf(helmProgram === '')('the Helm chart (npm run test:cluster finds or builds a helm)', () => {
  const render = (...args: readonly string[]): Promise<string> =>
    helm(['template', 'telos', chart, '-n', 'telos-system', ...args]);

  test('passes its linter', async () => {
    expect(await helm(['lint', '--strict', chart])).toContain('0 chart(s) failed');
  });

  test.each([
    ['a companion', [], []],
    ['a standalone installation', ['--mode', 'standalone'], ['--set', 'mode=standalone']],
    [
      'a companion for two namespaces',
      ['--watch-namespace', 'a,no'],
      ['--set-json', 'watchNamespaces=["a","no"]'],
    ],
    [
      'a standalone installation for one',
      ['--mode=standalone', '--watch-namespace=a', '--image=r.example/t@sha256:'.concat('0'.repeat(64))],
      [
        ...['--set', 'mode=standalone', '--set-json', 'watchNamespaces=["a"]'],
        ...['--set', `image.repository=r.example/t,image.digest=sha256:${'0'.repeat(64)}`],
      ],
    ],
  ])('installs of %s what telos manifests prints, object by object', async (_what, flags, values) => {
    const printed = new Map(objectsOf(await printedManifests(...flags)));
    // A release makes its namespace only when asked.
    expect(printed.delete('Namespace  telos-system')).toBe(true);
    const rendered = objectsOf(await render(...values));
    expect([...rendered.keys()].sort()).toEqual([...printed.keys()].sort());
    for (const [name, object] of printed) expect(rendered.get(name), name).toEqual(object);
  });

  test.each([
    ['watchNamespace=a', /watchNamespace/],
    ['mode=both', /mode/],
    ['resources.limits.memory=500000k', /memory/],
    ['logLevel=loud', /logLevel/],
    ['shards=0', /shards/],
    ['replicas=two', /replicas/],
    ['leaseDuration=10', /leaseDuration/],
    ['leaseDuration=4s', /leaseDuration/],
    ['leaseDuration=2m1s', /leaseDuration/],
    ['mode=standalone,replicas=2', /replicas: in mode standalone one Pod .* leave it out, or set it to 1/],
    ['mode=standalone,shards=4', /shards: in mode standalone one Pod/],
    ['networkPolicy.apiServer={10.0.0.1}', /apiServer/],
    ['egress.dnsServers={10.0.0.10:5353}', /dnsServers/],
  ])('refuses %s', async (value, message) => {
    await expect(render('--set', value)).rejects.toThrow(message);
  });

  test.each(['5s', '30s', '90s', '120s', '1m', '1m30s', '2m'])('takes leaseDuration=%s', async (duration) => {
    const rendered = await render('--set', `leaseDuration=${duration}`);
    expect(rendered).toContain(`--lease-duration=${duration}`);
  });

  test('can be scaled to nothing in either mode', async () => {
    for (const mode of ['companion', 'standalone'])
      expect(await render('--set', `mode=${mode},replicas=0`)).toContain('replicas: 0\n');
  });

  test('hands every option on as a flag that telos up has, and gives the heap what fits the memory', async () => {
    const values = [
      'egress.allow={10.1.2.3:8443,*.svc}',
      'egress.deny={bad.example}',
      'egress.proxy=http://proxy:3128',
      'egress.caConfigMap=authorities',
      'hookSecrets=labelled',
      'reportBacklog=1h',
      'logLevel=debug',
      'egress.dnsServers={10.0.0.10,fd00::10}',
      'extraArgs={--egress-nat64-prefix=64:ff9b:1::/96}',
      'resources.limits.memory=2Gi',
      'replicas=3',
      'shards=8',
      'leaseDuration=20s',
    ];
    const rendered = objectsOf(await render(...values.flatMap((value) => ['--set', value])));
    const text = JSON.stringify(rendered.get('Deployment telos-system telos'));
    const args = /"args":\[(.*?)\]/.exec(text)?.[1] ?? '';
    const flags = [...args.matchAll(/"--([a-z0-9-]+)/g)].map(([, flag]) => flag);
    expect(flags).toEqual(
      expect.arrayContaining([
        'egress-allow',
        'egress-proxy',
        'ca-file',
        'hook-secrets',
        'dns-server',
        'egress-nat64-prefix',
      ]),
    );
    const { stdout: help } = await telos(['up', '--help']);
    expect(flags.filter((flag) => !help.includes(` --${flag} `))).toEqual([]);
    expect(text).toContain('--max-old-space-size=1228');
    expect(text).toContain('"--shards=8","--lease-namespace=telos-system","--lease-duration=20s"');
    expect(text).toContain('"replicas":3');
    expect(text).toContain('"configMap":{"name":"authorities"}');
  });

  const egressOf = async (...args: readonly string[]): Promise<readonly object[]> => {
    const policy = objectsOf(await render(...args)).get('NetworkPolicy telos-system telos');
    if (policy === undefined) throw new Error('there is no NetworkPolicy');
    return (policy['spec'] as { readonly egress: readonly object[] }).egress;
  };
  const dnsPorts = ['UDP', 'TCP'].map((protocol) => ({ port: 53, protocol }));

  test('lets names be asked of nobody but the cluster and who is named', async () => {
    const [usual] = await egressOf();
    const peers = (usual as { readonly to: readonly object[] }).to;
    expect(usual).toEqual({ to: expect.any(Array), ports: dnsPorts });
    expect(peers).toHaveLength(3);
    const [more] = await egressOf('--set', 'egress.dnsServers={10.0.0.10,fd00::10}');
    const named = ['10.0.0.10/32', 'fd00::10/128'].map((cidr) => ({ ipBlock: { cidr } }));
    expect(more).toEqual({ to: [...peers, ...named], ports: dnsPorts });
    const [only] = await egressOf(
      '--set-json',
      'networkPolicy.dns=[]',
      '--set',
      'egress.dnsServers={10.0.0.10}',
    );
    expect(only).toEqual({ to: named.slice(0, 1), ports: dnsPorts });
    // A rule that names nobody would let everybody through.
    expect(JSON.stringify(await egressOf('--set-json', 'networkPolicy.dns=[]'))).not.toContain('"port":53,');
  });

  test('lets the API server be reached where it is said to be, else anywhere at its port', async () => {
    const ports = [{ port: 6443, protocol: 'TCP' }];
    expect(await egressOf()).toContainEqual({ ports });
    const args = ['--set', 'networkPolicy.apiServer={10.0.0.0/24,fd00:1::/64}'];
    const to = ['10.0.0.0/24', 'fd00:1::/64'].map((cidr) => ({ ipBlock: { cidr } }));
    expect(await egressOf(...args)).toContainEqual({ to, ports });
  });

  describe.skipIf(programs === undefined)('on a cluster', () => {
    let plane: ControlPlane;
    const crds = 'apiextensions.k8s.io/v1/customresourcedefinitions';
    const deployments = 'apps/v1/deployments';
    const place = { namespace: 'telos-system', name: 'telos' };
    const release = (...args: readonly string[]): Promise<string> =>
      helm([...args, '-n', place.namespace], { KUBECONFIG: plane.kubeconfig });

    beforeAll(async () => {
      plane = await startControlPlane(programs ?? '');
    });
    afterAll(() => plane.stop());

    test('brings newer CRDs with an upgrade, and leaves them when it is uninstalled', async () => {
      const older = await mkdtemp(join(tmpdir(), 'telos-chart-'));
      onTestFinished(() => rm(older, { recursive: true }));
      await cp(chart, older, { recursive: true });
      const text = await readFile(join(older, definition), 'utf8');
      const column = /\n +- name: Reason\n +type: string\n +jsonPath: \.status\.reason(?=\n)/;
      expect(text).toMatch(column);
      await writeFile(join(older, definition), text.replace(column, ''));
      const crd = (): Promise<string> =>
        plane.admin.get(crds, { name: 'deliveries.telos.dev' }).then((object) => JSON.stringify(object));

      await release('install', 'telos', older, '--create-namespace');
      expect(await crd()).not.toContain('"jsonPath":".status.reason"');
      await release('upgrade', 'telos', chart, '--reset-then-reuse-values');
      expect(await crd()).toContain('"jsonPath":".status.reason"');
      await release('uninstall', 'telos');
      await plane.admin.untilGone(deployments, place);
      expect(await crd()).toContain('"jsonPath":".status.reason"');
      // What it left is its own when it comes back.
      const narrow = 'networkPolicy.apiServer={10.0.0.0/24},egress.dnsServers={10.0.0.10,fd00::10}';
      await release('install', 'telos', chart, '--set', narrow);
      expect((await plane.admin.get(deployments, place)).metadata.name).toBe('telos');
    });
  });
});
