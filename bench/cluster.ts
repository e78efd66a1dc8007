import { customResourceDefinition } from '../src/api/crd.ts';
import { type Kind, kinds, type Resource } from '../src/api/kinds.ts';
import { onCompletionAnnotation } from '../src/api/names.ts';
import { draftDeliveries } from '../src/report/delivery-draft.ts';
import { parseHooks } from '../src/report/hooks-annotation.ts';
import { runOf } from '../src/report/run-id.ts';
import type { ResourceStore } from '../src/store/store.ts';
import { type ControlPlane, startControlPlane } from '../test/cluster/kit/control-plane.ts';
import type { KubeObject } from '../test/cluster/kit/kube-object.ts';
import { inParallel } from './in-parallel.ts';
import { deliveredAtOnce, endedStatus, recorded, taskDraft } from './resources.ts';
import { type ClusterPlace, openPlace } from './stand.ts';

/** Writes side by side while a namespace is filled: as many as a store has connections. */
export const width = 32;

const secretName = 'bench-headers';

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** What an API server was asked for, over some time. */
export interface Requests {
  readonly writes: number;
  readonly reads: number;
  /** CPU time of the API server, milliseconds. */
  readonly cpuMs: number;
}

/** A control plane of the bench's own: etcd and an API server, nobody else at work. */
export class BenchCluster {
  readonly #plane: ControlPlane;
  /** Works in all namespaces, as a client that is not measured. */
  readonly store: ResourceStore;

  private constructor(plane: ControlPlane, store: ResourceStore) {
    this.#plane = plane;
    this.store = store;
  }

  /** @throws when it does not become ready */
  static async start(programs: string): Promise<BenchCluster> {
    const plane = await startControlPlane(programs, { controllers: false });
    const store = await openPlace({ kubeconfig: plane.kubeconfig, namespace: 'default' });
    const cluster = new BenchCluster(plane, store);
    for (const kind of ['Task', 'Delivery'] as const) await cluster.#install(kind);
    return cluster;
  }

  get kubeconfig(): string {
    return this.#plane.kubeconfig;
  }

  /** As what the API server takes its clients for. */
  get connection(): ControlPlane['admin']['connection'] {
    return this.#plane.admin.connection;
  }

  /** A fresh namespace with the Secret that hooks name. */
  async namespace(): Promise<ClusterPlace> {
    const { admin, kubeconfig } = this.#plane;
    const namespace = await admin.createNamespace('bench', { serviceAccount: false });
    const stringData = { authorization: 'Bearer 0123456789abcdef' };
    await admin.create('v1/secrets', { metadata: { name: secretName, namespace }, stringData } as KubeObject);
    return { kubeconfig, namespace };
  }

  /** Tasks that have not ended, task-0 and so on. */
  fill(namespace: string, count: number, urls: readonly string[]): Promise<void> {
    return inParallel(count, width, async (n) => {
      const { metadata, ...draft } = hookedTask(`task-${n}`, urls[n % urls.length]);
      await this.store.create({ ...draft, metadata: { ...metadata, namespace } });
    });
  }

  async end(namespace: string, name: string, results: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.store.patch('Task', { namespace, name }, endedStatus(results), { subresource: 'status' });
  }

  /** Tasks that have ended. */
  async fillEnded(namespace: string, count: number, urls: readonly string[]): Promise<void> {
    await this.fill(namespace, count, urls);
    await this.endAll(namespace, count);
  }

  /** Ends what `fill` has made. */
  endAll(namespace: string, count: number): Promise<void> {
    return inParallel(count, width, (n) => this.end(namespace, `task-${n}`));
  }

  /** Tasks that are recorded, each with a settled Delivery; returns one of these. */
  async fillSettled(
    namespace: string,
    count: number,
    urls: readonly string[],
  ): Promise<Resource<'Delivery'>> {
    const { store } = this;
    let last: Resource<'Delivery'> | undefined;
    await inParallel(count, width, async (n) => {
      const { metadata, ...draft } = recorded(hookedTask(`task-${n}`, urls[n % urls.length]));
      const created = await store.create({ ...draft, metadata: { ...metadata, namespace } });
      const task = await store.patch('Task', created.metadata, endedStatus(), { subresource: 'status' });
      const list = parseHooks(task.metadata.annotations?.[onCompletionAnnotation] ?? '');
      for (const delivery of draftDeliveries(task, runOf(task, 'Succeeded'), list, { expired: false })) {
        const { metadata: key } = await store.create(delivery);
        last = await store.patch('Delivery', key, { status: deliveredAtOnce() }, { subresource: 'status' });
      }
    });
    if (last === undefined) throw new Error('nothing was filled in');
    return last;
  }

  /** Bytes of a resource as etcd keeps it: the API server stores the JSON that it shows. */
  async storedBytes(kind: Kind, { metadata }: Resource): Promise<number> {
    const { group, versions, plural } = kinds[kind];
    const path = `/apis/${group}/${versions.at(-1)}/namespaces/${metadata.namespace}/${plural}/${metadata.name}`;
    return Buffer.byteLength(await this.#plane.admin.raw(path));
  }

  /** Counted by the API server itself, of everything but its own leases. */
  async requests(): Promise<Requests> {
    const text = await this.#plane.admin.raw('/metrics');
    let [writes, reads] = [0, 0];
    for (const [, labels = '', value] of text.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
      if (!/group="(kelos\.dev|telos\.dev|)"/.test(labels)) continue;
      if (/verb="(POST|PUT|PATCH|APPLY|DELETE)"/.test(labels)) writes += Number(value);
      else if (/verb="(GET|LIST)"/.test(labels)) reads += Number(value);
    }
    const cpuSeconds = /^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1];
    return { writes, reads, cpuMs: Number(cpuSeconds) * 1000 };
  }

  async stop(): Promise<void> {
    await this.store.close();
    await this.#plane.stop();
  }

  async #install(kind: Kind): Promise<void> {
    const { admin } = this.#plane;
    const definition = customResourceDefinition(kind);
    const collection = 'apiextensions.k8s.io/v1/customresourcedefinitions';
    await admin.create(collection, definition);
    await admin.until<Definition>(collection, definition.metadata, ({ status }) =>
      Boolean(
        status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True'),
      ),
    );
    // Discovery comes to know of it a moment later.
    while (
      !(await this.store.list(kind, { limit: 1 }).then(
        () => true,
        () => false,
      ))
    );
  }
}

function hookedTask(name: string, url: string | undefined): ReturnType<typeof taskDraft> {
  return taskDraft(name, url, { secretRef: { name: secretName } });
}
