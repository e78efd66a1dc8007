import type { Kind, Resource } from '../../src/api/kinds.ts';
import { isStoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore } from '../../src/store/store.ts';

/**
 * Resolves with the resource as soon as it exists and satisfies the condition: by watching, not by sleeping.
 * The test's own timeout is the limit.
 */
export async function until<K extends Kind>(
  store: ResourceStore,
  kind: K,
  key: Key,
  condition: (resource: Resource<K>) => boolean = () => true,
): Promise<Resource<K>> {
  const page = await store.list(kind, { namespace: key.namespace });
  const present = page.items.find((item) => item.metadata.name === key.name);
  if (present !== undefined && condition(present)) return present;
  for await (const event of store.watch(kind, {
    namespace: key.namespace,
    resourceVersion: page.resourceVersion,
  })) {
    if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
    if (event.resource.metadata.name === key.name && condition(event.resource)) return event.resource;
  }
  throw new Error(`the watch of ${kind} ended before ${key.namespace}/${key.name} was as wanted`);
}

/** Resolves when the resource is gone. */
export async function untilGone(store: ResourceStore, kind: Kind, key: Key): Promise<void> {
  const page = await store.list(kind, { namespace: key.namespace });
  try {
    await store.get(kind, key);
  } catch (error) {
    if (isStoreError(error, 'NotFound')) return;
    throw error;
  }
  for await (const event of store.watch(kind, {
    namespace: key.namespace,
    resourceVersion: page.resourceVersion,
  })) {
    if (event.type === 'DELETED' && event.resource.metadata.name === key.name) return;
  }
}
