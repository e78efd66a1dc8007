import { describe, inject, onTestFinished } from 'vitest';
import { ClusterClient } from './cluster-client.ts';

/** The cluster that all cluster suites of a run share. */
export interface SharedCluster {
  /** The file that makes any client its administrator. */
  readonly kubeconfig: string;
  /** Whether Jobs get Pods, Pods get nodes, and namespaces get ServiceAccounts. */
  readonly controllers: boolean;
  /** Whether Pods run as processes of this machine, on a stand-in node. */
  readonly standIn: boolean;
}

declare module 'vitest' {
  interface ProvidedContext {
    cluster: SharedCluster | undefined;
  }
}

/**
 * Describes what holds on a real API server. Each suite works in namespaces of its own; whoever must break the
 * control plane starts one for itself (`startControlPlane`). Skipped where there is no cluster.
 */
export function describeOnCluster(title: string, suite: () => void): void {
  if (inject('cluster') === undefined) describe.skip(`${title} (npm run test:cluster runs this)`, suite);
  else describe(title, suite);
}

/** The cluster; for tests inside of `describeOnCluster` only. */
export function sharedCluster(): SharedCluster {
  const cluster = inject('cluster');
  if (cluster === undefined) throw new Error('there is no cluster: use describeOnCluster');
  return cluster;
}

/** The administrator's client; closed when the test ends. */
export function clusterAdmin(): ClusterClient {
  const client = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
  onTestFinished(() => client.close());
  return client;
}

/** A namespace of the test's own, ready for Pods; deleted when the test ends. */
export async function temporaryNamespace(client: ClusterClient): Promise<string> {
  const namespace = await client.createNamespace('test', { serviceAccount: sharedCluster().controllers });
  // Its content goes in the cluster's own time: nobody else is in it.
  onTestFinished(() => client.delete('v1/namespaces', { name: namespace }));
  return namespace;
}
