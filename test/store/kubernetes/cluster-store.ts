import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { openKubernetesStore } from '../../../src/store/kubernetes/kubernetes-store.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { formatKubeconfig, readKubeconfig } from '../../cluster/kit/kubeconfig.ts';

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
