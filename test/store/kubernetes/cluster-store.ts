import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../../src/base/log.ts';
import { openKubernetesStore } from '../../../src/store/kubernetes/kubernetes-store.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import type { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import type { KubeObject } from '../../cluster/kit/kube-object.ts';
import { formatKubeconfig, readKubeconfig } from '../../cluster/kit/kubeconfig.ts';

const crds = join(import.meta.dirname, '..', '..', '..', 'deploy', 'crds');
const definitions = 'apiextensions.k8s.io/v1/customresourcedefinitions';

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Installs our CRDs, and resolves when their resources can be made. */
export async function installDefinitions(admin: ClusterClient): Promise<void> {
  const texts = readdirSync(crds).map((name) => readFileSync(join(crds, name), 'utf8'));
  const applied = await Promise.all(texts.map((yaml) => admin.apply(yaml)));
  const established = ({ status }: Definition): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True') ??
    false;
  for (const { metadata } of applied.flat()) {
    await admin.until<Definition>(definitions, { name: metadata.name }, established);
  }
}

/** What of the connection is another than the kubeconfig's. */
export interface ConnectionChanges {
  readonly server?: string;
  readonly token?: string;
}

/** The store of a kubeconfig's cluster, by way of another address or as somebody else when asked. */
export async function openClusterStore(
  kubeconfig: string,
  changes: ConnectionChanges = {},
  log: Logger = silentLogger,
): Promise<ResourceStore> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-cluster-'));
  try {
    const file = join(folder, 'config');
    await writeFile(file, formatKubeconfig({ ...readKubeconfig(kubeconfig), ...changes }));
    return await openKubernetesStore({
      context: undefined,
      env: { KUBECONFIG: file },
      clock: systemClock,
      log,
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
