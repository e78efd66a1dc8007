import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterClient } from '../kit/cluster-client.ts';
import type { WatchEvent } from '../kit/kube-object.ts';
import { Supervisor } from '../kit/supervised.ts';
import type { House } from './house.ts';
import { LogServer } from './log-server.ts';
import type { Pod } from './pod.ts';
import { PodWorker } from './pod-worker.ts';

/** A node whose containers are processes of this machine. */
export interface StandInNode {
  readonly name: string;
  /** Ends every process and takes the node out of the cluster, if that still answers. */
  stop(): Promise<void>;
}

const leaseSeconds = 40;
const renewMs = 10_000;
const retryMs = 200;

/**
 * Joins a node to a cluster whose API server runs on this machine, and runs what is scheduled to it. Images are
 * not pulled: a Pod's command must be there on this machine, or in ConfigMap `stand-in-files` of its namespace. An
 * image from a host that ends in `.invalid` can never be pulled.
 */
export async function startStandInNode(client: ClusterClient): Promise<StandInNode> {
  const node = new Node(client, await Supervisor.start());
  try {
    await node.start();
  } catch (error) {
    await node.stop();
    throw error;
  }
  return node;
}

class Node implements StandInNode {
  readonly name = `stand-in-${randomBytes(3).toString('hex')}`;
  readonly #house: House;
  readonly #stopping = new AbortController();
  readonly #workers = new Map<string, PodWorker>();
  #logs: LogServer | undefined;
  #done: Promise<unknown> = Promise.resolve();

  constructor(client: ClusterClient, supervisor: Supervisor) {
    this.#house = { client, supervisor, signal: this.#stopping.signal, retryMs };
  }

  async start(): Promise<void> {
    this.#logs = await LogServer.start((namespace, pod, container) =>
      this.#workers.get(`${namespace}/${pod}`)?.find(container),
    );
    await this.#register(this.#logs.port);
    this.#done = Promise.all([this.#renewLease(), this.#followPods()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    await Promise.all([...this.#workers.values()].map((worker) => worker.removed()));
    await this.#house.supervisor.stop();
    await this.#logs?.stop();
    await this.#house.client.delete('v1/nodes', { name: this.name }).catch(() => {});
  }

  async #register(port: number): Promise<void> {
    const { client } = this.#house;
    const { name } = this;
    await client.create('v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'telos.dev/stand-in': 'true' },
      },
    });
    const room = { cpu: '1000', memory: '1000Gi', pods: '10000', 'ephemeral-storage': '1000Gi' };
    const heard = {
      lastHeartbeatTime: new Date().toISOString(),
      lastTransitionTime: new Date().toISOString(),
    };
    await client.patchStatus(
      'v1/nodes',
      { name },
      {
        capacity: room,
        allocatable: room,
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
        conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', ...heard }],
      },
    );
    // Admission taints every new node, and the controller that would lift it does not run.
    await client.patch('v1/nodes', { name }, { spec: { taints: null } });
  }

  async #renewLease(): Promise<void> {
    const { client, signal } = this.#house;
    while (!signal.aborted) {
      const renewTime = new Date().toISOString().replace('Z', '000Z');
      const lease = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace: 'kube-node-lease', name: this.name },
        spec: { holderIdentity: this.name, leaseDurationSeconds: leaseSeconds, renewTime },
      };
      const renewed = await client.applyObject(lease).catch(() => undefined);
      const waitMs = renewed === undefined ? retryMs : renewMs;
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Lists and watches, again whenever that ends: an API server may be away for a while. */
  async #followPods(): Promise<void> {
    const { client, signal } = this.#house;
    const fieldSelector = `spec.nodeName=${this.name}`;
    while (!signal.aborted) {
      try {
        const { items, metadata } = await client.list<Pod>('v1/pods', { fieldSelector });
        this.#take(items);
        const query = { fieldSelector, resourceVersion: metadata.resourceVersion };
        for await (const event of client.watch<Pod>('v1/pods', { query, signal })) this.#follow(event);
      } catch {
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  #take(pods: readonly Pod[]): void {
    const present = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [key, worker] of this.#workers) if (!present.has(worker.uid)) this.#remove(key);
    for (const pod of pods) this.#accept(pod);
  }

  #follow(event: WatchEvent<Pod>): void {
    if (event.type === 'BOOKMARK') return;
    if (event.type === 'DELETED') this.#remove(keyOf(event.object));
    else this.#accept(event.object);
  }

  #accept(pod: Pod): void {
    const key = keyOf(pod);
    const worker = this.#workers.get(key);
    if (worker !== undefined) {
      worker.update(pod);
      return;
    }
    const created = new PodWorker(this.#house, pod);
    this.#workers.set(key, created);
    created.start();
  }

  #remove(key: string): void {
    const worker = this.#workers.get(key);
    this.#workers.delete(key);
    void worker?.removed();
  }
}

function keyOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`;
}
