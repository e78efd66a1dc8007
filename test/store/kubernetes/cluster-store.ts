import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { openKubernetesStore } from '../../../src/store/kubernetes/kubernetes-store.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import type { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import type { KubeObject } from '../../cluster/kit/kube-object.ts';
import { formatKubeconfig, readKubeconfig } from '../../cluster/kit/kubeconfig.ts';

const crds = join(import.meta.dirname, '..', '..', '..', 'deploy', 'crds');
const definitions = 'apiextensions.k8s.io/v1/customresourcedefinitions';

interface Definition extends KubeObject {
  readonly spec: {
    readonly versions: readonly { readonly name: string; readonly storage: boolean }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Installs our CRDs, and resolves when their resources can be made. */
export async function installDefinitions(admin: ClusterClient): Promise<void> {
  for (const name of readdirSync(crds)) await establish(admin, readDefinition(name));
}

/** The CRD of Task, and what installs a changed one. */
export function taskDefinition(admin: ClusterClient): {
  readonly definition: Definition;
  readonly establish: (changed: Definition) => Promise<void>;
} {
  return {
    definition: readDefinition('tasks.kelos.dev.yaml'),
    establish: (changed) => establish(admin, changed),
  };
}

function readDefinition(name: string): Definition {
  return parse(readFileSync(join(crds, name), 'utf8')) as Definition;
}

async function establish(admin: ClusterClient, definition: Definition): Promise<void> {
  await admin.applyObject(definition);
  const established = ({ status }: Definition): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True') ??
    false;
  const { name } = definition.metadata;
  await admin.until<Definition>(definitions, { name }, established);
}

/** What of the connection is another than the kubeconfig's. */
export interface ConnectionChanges {
  /** Another way to the API server. */
  readonly server?: string;
  /** Somebody else than the administrator, whom every right is given: see `tokenAs`. */
  readonly token: string;
}

/** A kubeconfig for the same cluster as somebody else, by way of another address when asked; to be removed. */
export async function kubeconfigAs(
  kubeconfig: string,
  { server, token }: ConnectionChanges,
): Promise<{ readonly file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-cluster-'));
  const { cert: _cert, key: _key, ...place } = readKubeconfig(kubeconfig);
  const file = join(folder, 'config');
  const text = formatKubeconfig({ ...place, token, ...(server !== undefined && { server }) });
  await writeFile(file, text, { mode: 0o600 });
  return { file, remove: () => rm(folder, { recursive: true }) };
}

/** The store of a kubeconfig's cluster as somebody else, by way of another address when asked. */
export async function openClusterStore(
  kubeconfig: string,
  changes: ConnectionChanges,
): Promise<ResourceStore> {
  const { file, remove } = await kubeconfigAs(kubeconfig, changes);
  try {
    const env = { KUBECONFIG: file };
    return await openKubernetesStore({ context: undefined, env, clock: systemClock, log: silentLogger });
  } finally {
    await remove();
  }
}
