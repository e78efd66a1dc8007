import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import type { JsonObject } from '../../base/json.ts';
import { StoreError } from '../errors.ts';
import type { Lease, LeaseBook, LeaseDraft } from '../shards/lease.ts';
import type { CallOptions } from '../store.ts';
import { ApiCollection } from './api-collection.ts';
import type { ApiServer } from './api-server.ts';
import type { ApiObject } from './wire.ts';

const label = { 'app.kubernetes.io/managed-by': 'telos' };
const labelSelector = 'app.kubernetes.io/managed-by=telos';
const shardsAnnotation = 'telos.dev/shards';
const pageSize = 500;

const Spec = z.object({
  holderIdentity: z.string().nullish(),
  leaseDurationSeconds: z.number().nonnegative().nullish(),
  leaseTransitions: z.number().nullish(),
});
const Annotations = z.object({ [shardsAnnotation]: z.string().optional() });

/** The Leases (`coordination.k8s.io/v1`) of one namespace that Telos wrote. */
export class KubernetesLeases implements LeaseBook {
  readonly #collection: ApiCollection;
  readonly #namespace: string;
  readonly #clock: Clock;

  constructor(server: ApiServer, namespace: string) {
    this.#collection = new ApiCollection(server, {
      root: '/apis/coordination.k8s.io/v1',
      plural: 'leases',
      kind: 'Lease',
      labelSelector,
    });
    this.#namespace = namespace;
    this.#clock = server.clock;
  }

  async list({ signal = new AbortController().signal }: CallOptions): Promise<readonly Lease[]> {
    const leases: Lease[] = [];
    let token: string | undefined;
    do {
      const options = { namespace: this.#namespace, limit: pageSize, continue: token, signal };
      const page = await this.#collection.list(options);
      leases.push(...page.items.map(readLease));
      token = page.continue;
    } while (token !== undefined);
    return leases;
  }

  async get(name: string, options: CallOptions): Promise<Lease | undefined> {
    const found = await this.#collection.get(this.#key(name), options);
    return found === undefined ? undefined : readLease(found);
  }

  async create(draft: LeaseDraft, options: CallOptions): Promise<Lease> {
    return readLease(
      await this.#collection.create(this.#key(draft.name), this.#object(draft, undefined), options),
    );
  }

  async replace(lease: Lease, options: CallOptions): Promise<Lease> {
    const object = this.#object(lease, lease.version);
    return readLease(await this.#collection.replace(this.#key(lease.name), object, options));
  }

  async remove(name: string, options: CallOptions): Promise<void> {
    const found = await this.#collection.get(this.#key(name), options);
    if (found === undefined) return;
    const { uid } = found.metadata;
    await this.#collection.delete(this.#key(name), { uid, propagationPolicy: 'Background' }, options);
  }

  #key(name: string): { namespace: string; name: string } {
    return { namespace: this.#namespace, name };
  }

  /** Times are for people only: no replica compares them. */
  #object(
    { name, holder, durationMs, transitions, shards }: LeaseDraft,
    resourceVersion: string | undefined,
  ): JsonObject {
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace: this.#namespace,
        labels: label,
        ...(shards === undefined ? {} : { annotations: { [shardsAnnotation]: String(shards) } }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      spec: {
        ...(holder === undefined ? {} : { holderIdentity: holder }),
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        leaseTransitions: transitions,
        renewTime: new Date(this.#clock.now()).toISOString().replace('Z', '000Z'),
      },
    };
  }
}

/** @throws StoreError `Unavailable` when it is no Lease of ours */
function readLease({ metadata, spec }: ApiObject): Lease {
  const checked = Spec.safeParse(spec ?? {});
  const annotations = Annotations.safeParse(metadata['annotations'] ?? {});
  if (!checked.success || !annotations.success) {
    throw new StoreError(
      'Unavailable',
      `Lease ${metadata.namespace}/${metadata.name} cannot be read: delete it`,
    );
  }
  const { holderIdentity, leaseDurationSeconds, leaseTransitions } = checked.data;
  const shards = annotations.data[shardsAnnotation];
  return {
    name: metadata.name,
    holder: holderIdentity || undefined,
    durationMs: (leaseDurationSeconds ?? 0) * 1000,
    transitions: leaseTransitions ?? 0,
    ...(shards === undefined ? {} : { shards: Number(shards) }),
    version: metadata.resourceVersion,
  };
}
