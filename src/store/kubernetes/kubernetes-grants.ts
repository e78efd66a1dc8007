import { z } from 'zod';
import { isJsonObject } from '../../base/json.ts';
import { StoreError } from '../errors.ts';
import type { Grant, GrantBook } from '../rights/grant.ts';
import type { CallOptions, Change } from '../store.ts';
import { ApiCollection } from './api-collection.ts';
import type { ApiServer } from './api-server.ts';
import { objectOf, refusedResource } from './status-errors.ts';
import type { ApiObject } from './wire.ts';

const Metadata = z.object({
  finalizers: z.array(z.string()).nullish(),
  deletionTimestamp: z.string().nullish(),
});

/** The RoleBindings of one name (`rbac.authorization.k8s.io/v1`), one in each namespace. */
export class KubernetesGrants implements GrantBook {
  readonly name = 'RoleBinding';
  readonly #server: ApiServer;
  readonly #collection: ApiCollection;

  constructor(server: ApiServer, name: string) {
    this.#server = server;
    this.#collection = new ApiCollection(server, {
      root: '/apis/rbac.authorization.k8s.io/v1',
      plural: 'rolebindings',
      kind: 'RoleBinding',
      // Others' are none of its business: its rights are for this one.
      fieldSelector: `metadata.name=${name}`,
    });
  }

  async list(options: Parameters<GrantBook['list']>[0]): ReturnType<GrantBook['list']> {
    const page = await this.#collection.list(options);
    return { ...page, items: page.items.map(readGrant) };
  }

  async *watch(options: Parameters<GrantBook['watch']>[0]): AsyncIterable<Change<Grant>> {
    for await (const event of this.#collection.watch(options)) {
      yield event.type === 'BOOKMARK' ? event : { ...event, resource: readGrant(event.resource) };
    }
  }

  async writeFinalizers(
    { metadata: { namespace, name, resourceVersion } }: Grant,
    finalizers: readonly string[],
    options: CallOptions,
  ): Promise<Grant> {
    const patch = {
      metadata: { resourceVersion, finalizers: finalizers.length === 0 ? null : [...finalizers] },
    };
    return readGrant(await this.#collection.patch({ namespace, name }, patch, options));
  }

  async isNamespaceGoing(namespace: string, { signal }: CallOptions): Promise<boolean> {
    const { transport } = this.#server;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
    const answer = await transport.send({ method: 'GET', path, signal });
    if (answer.status === 404) return true;
    if (answer.status >= 300) {
      throw refusedResource(
        answer,
        { kind: 'Namespace', key: { namespace: '', name: namespace } },
        transport.name,
      );
    }
    const { metadata } = objectOf(answer, transport.name);
    return isJsonObject(metadata) && metadata['deletionTimestamp'] !== undefined;
  }
}

/** @throws StoreError `Unavailable` when it cannot be read */
function readGrant({ metadata }: ApiObject): Grant {
  const { namespace, name, resourceVersion } = metadata;
  const checked = Metadata.safeParse(metadata);
  if (!checked.success)
    throw new StoreError('Unavailable', `RoleBinding ${namespace}/${name} cannot be read`);
  const { finalizers, deletionTimestamp } = checked.data;
  return {
    metadata: { namespace, name, resourceVersion },
    finalizers: finalizers ?? [],
    isDeleting: Boolean(deletionTimestamp),
  };
}
