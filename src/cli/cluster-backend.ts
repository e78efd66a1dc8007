import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { createJobRunner } from '../run/job/job-runner.ts';
import { KubernetesJobs } from '../run/job/kubernetes-jobs.ts';
import type { Runner } from '../run/runner.ts';
import { connectApiServer } from '../store/kubernetes/api-server.ts';
import { createKubernetesStore } from '../store/kubernetes/kubernetes-store.ts';
import type { ResourceStore } from '../store/store.ts';
import { refuseBesideKelos } from './kelos-lease.ts';

export interface ClusterOptions {
  /** A context of the kubeconfig. */
  readonly context: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only these namespaces; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  readonly rooms: { readonly spawn: boolean; readonly run: boolean };
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The store and the runner of an engine on Kubernetes, over one connection.
 * @throws StoreError, and CliError when Kelos's controller does what this engine is to do
 */
export async function openCluster(
  options: ClusterOptions,
): Promise<{ readonly store: ResourceStore; readonly runner: Runner }> {
  const { context, env, namespaces, rooms, clock, log } = options;
  const server = await connectApiServer({ context, env, clock, log });
  const store = createKubernetesStore(server);
  try {
    if (rooms.spawn || rooms.run) await refuseBesideKelos(server, clock, log);
    const api = new KubernetesJobs(server);
    return { store, runner: createJobRunner({ api, store, namespaces, clock, log }) };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}
