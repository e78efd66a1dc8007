import { randomBytes, randomUUID } from 'node:crypto';
import { type Kind, kinds } from '../../api/kinds.ts';
import type { ObjectMeta, StoredMeta } from '../../api/meta.ts';
import { rfc3339 } from '../../base/text.ts';
import { conflict, invalid } from '../refusals.ts';
import type { StoredResource } from './state.ts';

/** The characters Kubernetes makes names of: no vowels, so that no words come out. */
const nameCharacters = 'bcdfghjklmnpqrstvwxz2456789';

/** A name for `generateName`, as Kubernetes makes them: the prefix (cut at 58 characters) and five at random. */
export function generatedName(prefix: string): string {
  let name = prefix.slice(0, 58);
  for (const byte of randomBytes(5)) name += nameCharacters[byte % nameCharacters.length] ?? '';
  return name;
}

/** The metadata of a new resource: what the user may say, and what the store says. */
export function newMetadata(
  kind: Kind,
  written: ObjectMeta,
  name: string,
  namespace: string,
  now: number,
): Omit<StoredMeta, 'resourceVersion'> {
  return {
    ...userFields(written),
    ...(written.generateName ? { generateName: written.generateName } : {}),
    name,
    namespace,
    uid: randomUUID(),
    creationTimestamp: rfc3339(now),
    ...(kinds[kind].custom ? { generation: 1 } : {}),
  };
}

/**
 * The metadata after a write over an existing resource. What the store says stays; left out it means "as it is".
 * @throws StoreError `Conflict` when a precondition fails, `Invalid` when a fixed field would change.
 */
export function changedMetadata(before: StoredResource, written: ObjectMeta): StoredMeta {
  const old = before.metadata;
  checkPreconditions(before, written);
  for (const field of fixedFields) {
    if (written[field] !== undefined && written[field] !== old[field]) {
      throw invalid(`metadata.${field}`, 'cannot be changed');
    }
  }
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, ...storeFields } = old;
  return { ...storeFields, ...userFields(written) };
}

/** Set by the store, once. */
const fixedFields = [
  'name',
  'namespace',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const;

/**
 * Whether the resource is still the one that was meant.
 * @throws StoreError `Conflict` when its uid or version is not the one given.
 */
export function checkPreconditions(
  before: StoredResource,
  wanted: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined },
): void {
  const { uid, resourceVersion } = before.metadata;
  if (wanted.uid && wanted.uid !== uid) {
    throw conflict(before.kind, before.metadata, `it is another one now (uid ${uid}, not ${wanted.uid})`);
  }
  if (wanted.resourceVersion && wanted.resourceVersion !== resourceVersion) {
    throw conflict(
      before.kind,
      before.metadata,
      `it was changed meanwhile (version ${resourceVersion}, not ${wanted.resourceVersion})`,
    );
  }
}

/** What people and controllers say in metadata; empty collections are left out, as the Kubernetes API does. */
function userFields(
  written: ObjectMeta,
): Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences'> {
  const { labels, annotations, finalizers, ownerReferences } = written;
  return {
    ...(isEmpty(labels) ? {} : { labels }),
    ...(isEmpty(annotations) ? {} : { annotations }),
    ...(isEmpty(finalizers) ? {} : { finalizers }),
    ...(isEmpty(ownerReferences) ? {} : { ownerReferences }),
  } as Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences'>;
}

function isEmpty(collection: unknown): boolean {
  if (collection === undefined) return true;
  // What is no collection at all is left for admission to refuse.
  return typeof collection === 'object' && collection !== null && Object.keys(collection).length === 0;
}
