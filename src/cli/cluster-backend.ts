import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { createJobRunner } from '../run/job/job-runner.ts';
import { KubernetesJobs } from '../run/job/kubernetes-jobs.ts';
import type { Runner } from '../run/runner.ts';
import type { Sharding } from '../sharded-engine.ts';
import { type ApiServer, connectApiServer } from '../store/kubernetes/api-server.ts';
import { KubernetesGrants } from '../store/kubernetes/kubernetes-grants.ts';
import { KubernetesLeases } from '../store/kubernetes/kubernetes-leases.ts';
import { createKubernetesStore } from '../store/kubernetes/kubernetes-store.ts';
import { NamespaceRights } from '../store/rights/namespace-rights.ts';
import { leaseTiming } from '../store/shards/lease.ts';
import type { ResourceStore } from '../store/store.ts';
import type { ShardingOptions } from './engine-options.ts';
import { KelosLease } from './kelos-lease.ts';
import { refuseBesideReplicas } from './replicas-at-work.ts';

export interface ClusterOptions {
  /** A context of the kubeconfig. */
  readonly context: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only these namespaces; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** The RoleBinding in each of them that gives the rights; undefined: they come from elsewhere. */
  readonly roleBinding: string | undefined;
  readonly rooms: { readonly spawn: boolean; readonly run: boolean };
  /** How to share the work; undefined: there is no other replica. */
  readonly sharding: ShardingOptions | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What an engine works on and with. */
export interface ClusterBackend {
  readonly store: ResourceStore;
  /** Makes what runs the Tasks of a store. */
  readonly runner: (store: ResourceStore) => Runner;
  readonly sharding: Sharding | undefined;
  /** What keeps the rights in the namespaces. */
  readonly rights: NamespaceRights | undefined;
  /** Tells when somebody else begins to do what this engine does; undefined: that may be. */
  readonly rival: KelosLease | undefined;
}

/**
 * The store and the runner of an engine on Kubernetes, over one connection.
 * @throws StoreError, and CliError when Kelos's controller does what this engine is to do
 */
export async function openCluster(options: ClusterOptions): Promise<ClusterBackend> {
  const { context, env, namespaces, roleBinding, rooms, clock, log } = options;
  const server = await connectApiServer({ context, env, clock, log });
  const store = createKubernetesStore(server);
  try {
    const rival = rooms.spawn || rooms.run ? new KelosLease(server, clock, log) : undefined;
    await rival?.refuse();
    const api = new KubernetesJobs(server);
    const rights =
      namespaces === undefined || roleBinding === undefined
        ? undefined
        : new NamespaceRights({ book: new KubernetesGrants(server, roleBinding), namespaces, clock, log });
    return {
      store,
      runner: (of) => createJobRunner({ api, store: of, namespaces, access: rights, clock, log }),
      rights,
      rival,
      sharding: await shardingOn(server, options),
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

/** @throws CliError when the engine would share its work with nobody, and others are there */
async function shardingOn(server: ApiServer, options: ClusterOptions): Promise<Sharding | undefined> {
  const { env, namespaces, sharding, clock, log } = options;
  const place = sharding?.namespace ?? (await ownNamespace(env)) ?? 'telos-system';
  const leases = new KubernetesLeases(server, place);
  if (sharding === undefined) {
    await refuseBesideReplicas({ leases, place, namespaces, clock, log });
    return undefined;
  }
  const { shards, durationMs } = sharding;
  return {
    leases,
    timing: leaseTiming(durationMs),
    shards,
    self: replicaName(env['HOSTNAME'] || hostname()),
  };
}

/** In a Pod the host is called as the Pod is. A process that starts again in it is another replica. */
function replicaName(host: string): string {
  const readable = host
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63);
  return `${readable || 'replica'}-${randomBytes(4).toString('hex')}`;
}

/** The namespace of the Pod that this process is in; undefined outside of one. */
async function ownNamespace(env: ClusterOptions['env']): Promise<string | undefined> {
  if (!env['KUBERNETES_SERVICE_HOST']) return undefined;
  const file = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trim() || undefined;
}
