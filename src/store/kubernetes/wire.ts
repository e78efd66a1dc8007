import { apiVersionOf, apiVersionsOf, type Kind, kinds, type Resource } from '../../api/kinds.ts';
import { deepFreeze, isJsonObject, type JsonObject } from '../../base/json.ts';
import { StoreError } from '../errors.ts';
import { invalid } from '../refusals.ts';
import { objectOf } from './status-errors.ts';
import type { ApiAnswer } from './transport.ts';

/** What the metadata of every stored resource has; rooms rely on it. */
const stored = ['name', 'namespace', 'uid', 'creationTimestamp'] as const;

/** An object of the API server that may be none of our kinds: only its metadata is sure. */
export interface ApiObject extends JsonObject {
  readonly metadata: JsonObject & {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly creationTimestamp: string;
    /** Empty in the answer to a dry run. */
    readonly resourceVersion: string;
  };
}

/**
 * An object as the API server sent it, without the API server's own book-keeping.
 * @throws StoreError `Unavailable` when it is none
 */
export function decodeObject(kind: string, sent: unknown): ApiObject {
  const { metadata, ...rest } = isJsonObject(sent) ? sent : {};
  if (!isJsonObject(metadata) || stored.some((field) => typeof metadata[field] !== 'string')) {
    throw new StoreError('Unavailable', `the API server sent something that is no ${kind}: check its URL`);
  }
  const { managedFields: _fields, selfLink: _link, ...kept } = metadata;
  const read = { ...kept, resourceVersion: kept['resourceVersion'] ?? '' };
  return { ...rest, metadata: read as ApiObject['metadata'] };
}

/**
 * A resource as the API server sent it, as the rooms see it: in the apiVersion that Telos writes (the versions of a
 * kind share one schema), frozen.
 * @throws StoreError `Unavailable` when it is no such resource
 */
export function decodeResource<K extends Kind>(kind: K, sent: unknown): Resource<K> {
  // Items of a list do not say what they are.
  const { apiVersion: _version, kind: _kind, metadata, ...rest } = decodeObject(kind, sent);
  const resource = { apiVersion: apiVersionOf(kind), kind, metadata, ...rest };
  return deepFreeze(resource) as unknown as Resource<K>;
}

/** One page of a list. @throws StoreError `Unavailable` when the answer is none */
export function decodePage<R>(
  answer: ApiAnswer,
  decode: (sent: unknown) => R,
  server: string,
): { readonly items: readonly R[]; readonly resourceVersion: string; readonly continue?: string } {
  const { items, metadata } = objectOf(answer, server);
  if (!Array.isArray(items) || !isJsonObject(metadata) || typeof metadata['resourceVersion'] !== 'string') {
    throw new StoreError('Unavailable', `${server}: sent something that is no list: check its URL`);
  }
  return {
    items: items.map((item: unknown) => decode(item)),
    resourceVersion: metadata['resourceVersion'],
    ...(metadata['continue'] ? { continue: String(metadata['continue']) } : {}),
  };
}

/**
 * A resource, or a merge patch of one, as the API server takes it: in the version that it serves, and owners of our
 * kinds, too, for the garbage collector looks them up by it.
 * @throws StoreError `Invalid` when it names an apiVersion that the kind does not have
 */
export function encodeResource(kind: Kind, object: JsonObject, servedVersion: string): JsonObject {
  const { apiVersion, metadata } = object;
  if (apiVersion !== undefined && !apiVersionsOf(kind).some((version) => version === apiVersion)) {
    throw invalid('apiVersion', `must be ${apiVersionsOf(kind).join(' or ')}`);
  }
  return {
    ...object,
    ...(apiVersion === undefined ? {} : { apiVersion: servedVersion }),
    ...(isJsonObject(metadata) ? { metadata: encodeOwners(metadata, servedVersion) } : {}),
  };
}

function encodeOwners(metadata: JsonObject, servedVersion: string): JsonObject {
  const { ownerReferences } = metadata;
  if (!Array.isArray(ownerReferences)) return metadata;
  const group = servedVersion.replace(/[^/]*$/, '');
  return {
    ...metadata,
    ownerReferences: ownerReferences.map((owner: unknown) =>
      isJsonObject(owner) && ownsIn(owner, group) ? { ...owner, apiVersion: servedVersion } : owner,
    ),
  };
}

/** Whether an owner is of one of our kinds in the group (`kelos.dev/`) whose served version is known. */
function ownsIn({ apiVersion, kind }: JsonObject, group: string): boolean {
  return (
    group !== '' &&
    typeof apiVersion === 'string' &&
    apiVersion.startsWith(group) &&
    typeof kind === 'string' &&
    Object.hasOwn(kinds, kind)
  );
}
