import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { PolicyRule } from '../../src/cli/manifests/access-rules.ts';
import { defaultRetention, sweepDeliveries } from '../../src/report/retention.ts';
import { openKubernetesStore } from '../../src/store/kubernetes/kubernetes-store.ts';
import type { ControlPlane } from '../cluster/kit/control-plane.ts';
import type { AnyObject, KubeObject } from '../cluster/kit/kube-object.ts';
import { formatKubeconfig, readKubeconfig } from '../cluster/kit/kubeconfig.ts';
import { startRewritingProxy } from '../store/kubernetes/cutting-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { telos } from '../support/telos-program.ts';
import { rightOf } from './used-rights.ts';

/** Runs kubectl as the administrator; resolves with what it prints. */
export function kubectl(plane: ControlPlane, args: readonly string[], stdin = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'kubectl',
      ['--kubeconfig', plane.kubeconfig, ...args],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stderr))),
    );
    child.stdin?.end(stdin);
  });
}

/** What `telos manifests` prints with these arguments. */
export async function printedManifests(...args: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await telos(['manifests', ...args]);
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

/** An installation that runs beside the cluster instead of in it: as its ServiceAccount, with its arguments. */
export interface Installed {
  /** What its container is started with. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The rules of all its roles. */
  readonly rules: readonly PolicyRule[];
  /** The rights that its requests took so far. */
  readonly used: ReadonlySet<string>;
  /** Somebody with its rights, whose requests are not noted. */
  readonly token: string;
  close(): Promise<void>;
}

interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
}

/** Applies what was printed with kubectl, and makes ready to run it. */
export async function install(plane: ControlPlane, printed: string): Promise<Installed> {
  await kubectl(plane, ['apply', '-f', '-'], printed);
  const objects = parseAllDocuments(printed).map((document) => document.toJS() as AnyObject);
  const account = objects.find(({ kind }) => kind === 'ServiceAccount');
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  if (account === undefined || deployment === undefined) throw new Error('there is nobody to run as');
  const { name, namespace = '' } = account.metadata;
  const token = await plane.admin.serviceAccountToken(namespace, name);
  const { spec } = deployment as unknown as {
    readonly spec: { readonly template: { readonly spec: { readonly containers: readonly [Container] } } };
  };
  const [{ args, env }] = spec.template.spec.containers;
  const used = new Set<string>();
  const { cert: _cert, key: _key, ...connection } = readKubeconfig(plane.kubeconfig);
  const proxy = await startRewritingProxy(connection, (path, method) => {
    const right = rightOf(method, path);
    if (right !== undefined) used.add(right);
    return path;
  });
  const folder = await mkdtemp(join(tmpdir(), 'telos-installed-'));
  const kubeconfig = join(folder, 'config');
  await writeFile(kubeconfig, formatKubeconfig({ server: proxy.url, token }), { mode: 0o600 });
  return {
    args,
    env: { ...Object.fromEntries(env.map(({ name, value }) => [name, value])), KUBECONFIG: kubeconfig },
    rules: objects.flatMap(({ rules }) => (rules as readonly PolicyRule[] | undefined) ?? []),
    used,
    token,
    async close() {
      await proxy.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Whether Telos, installed in that namespace, may do something: yes or no. */
export function mayTelos(
  plane: ControlPlane,
  installedIn: string,
  ...question: readonly string[]
): Promise<'yes' | 'no'> {
  const who = `--as=system:serviceaccount:${installedIn}:telos`;
  return kubectl(plane, ['auth', 'can-i', ...question, who, '--quiet']).then(
    () => 'yes',
    () => 'no',
  );
}

/** The ClusterRole of an installation with one right less. */
export async function roleWithout(plane: ControlPlane, verb: string, resource: string): Promise<object> {
  const group = 'rbac.authorization.k8s.io/v1';
  const role = await plane.admin.get<KubeObject & { readonly rules: readonly PolicyRule[] }>(
    `${group}/clusterroles`,
    { name: 'telos' },
  );
  const rules = role.rules.map((rule) =>
    rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule,
  );
  return { ...role, apiVersion: group, kind: 'ClusterRole', rules };
}

/** Removes what will just have become old in seven and a half days, as the engine looks for each hour, with the rights of the installation. */
export async function startSweep({ env, args }: Installed): Promise<{ stop(): Promise<void> }> {
  const clock = new ManualClock(Date.now() + 7.5 * 24 * 3_600_000);
  const log = silentLogger;
  const store = await openKubernetesStore({ context: undefined, env, clock: systemClock, log });
  const watched = args.flatMap((arg) => /^--watch-namespace=(.*)$/.exec(arg)?.[1] ?? []);
  const namespaces = watched.length === 0 ? undefined : watched;
  const ending = new AbortController();
  const sweeping = sweepDeliveries({ store, namespaces, clock, log }, defaultRetention, ending.signal);
  clock.advance(60_000);
  return {
    async stop() {
      ending.abort();
      await sweeping;
      await store.close();
    },
  };
}
