import { apiVersionOf, findKind, type Kind, kinds } from '../../api/kinds.ts';
import type { ObjectMeta, StoredMeta } from '../../api/meta.ts';
import { isJsonObject, type JsonObject, jsonEqual } from '../../base/json.ts';
import { rfc3339 } from '../../base/text.ts';
import { StoreError } from '../errors.ts';
import { type Key, keyText } from '../store.ts';
import { admit } from './admission.ts';
import { changedMetadata, checkPreconditions, newMetadata, writtenMetadata } from './metadata.ts';
import { invalid, invalidFaults } from './refusals.ts';
import type { StoredResource } from './revision.ts';
import { foldSecret, secretFaults } from './secret-rules.ts';

/** What a write comes to. `put` and `remove` carry the new state, without its version; the JSON is what is stored. */
export type Decision =
  | { readonly outcome: 'unchanged'; readonly resource: StoredResource }
  | { readonly outcome: 'put' | 'remove'; readonly resource: StoredResource; readonly json: string };

/** The largest resource, in UTF-16 units of its JSON: what etcd takes by default. */
const maxSize = 1_572_864;

/** Copies what somebody handed over into plain JSON, so that later changes to it do not matter. */
export function plainJson(value: unknown): JsonObject {
  let copy: unknown;
  try {
    copy = JSON.parse(JSON.stringify(value) ?? 'null');
  } catch (thrown) {
    throw new StoreError('Invalid', 'the resource is not JSON (a cycle or a bigint is in it)', {
      cause: thrown,
      faults: [{ path: '', message: 'is not JSON' }],
    });
  }
  if (!isJsonObject(copy)) throw invalid('', 'a resource is an object');
  return copy;
}

/** The kind of a written resource. @throws StoreError `Invalid` when there is no such kind or version. */
export function writtenKind(object: JsonObject): Kind {
  const { kind, apiVersion } = object;
  const known = typeof kind === 'string' ? findKind(kind) : undefined;
  if (known === undefined || known !== kind) throw invalid('kind', `${JSON.stringify(kind)} is not a kind`);
  const { group, versions } = kinds[known];
  const served = versions.map((version) => (group === '' ? version : `${group}/${version}`));
  if (!served.includes(String(apiVersion))) {
    throw invalid('apiVersion', `must be ${served.join(' or ')} for kind ${known}`);
  }
  return known;
}

/** A new resource under a name that is free. */
export function decideCreate(draft: JsonObject, key: Key, now: number): Decision {
  const kind = writtenKind(draft);
  const metadata = newMetadata(kind, writtenMetadata(draft), key.name, key.namespace, now);
  const { status, ...main } = draft;
  const part = kinds[kind].status ? 'main' : 'all';
  return decided(
    kind,
    undefined,
    {
      ...(part === 'main' || status === undefined ? main : draft),
      metadata: metadata as StoredMeta,
    },
    part,
  );
}

/** `wanted` over an existing resource: a replacement, or a patch that was merged already. */
export function decideReplace(
  before: StoredResource,
  wanted: JsonObject,
  subresource: 'status' | undefined,
): Decision {
  const { kind } = before;
  if (writtenKind(wanted) !== kind) throw invalid('kind', `must be ${kind}`);
  const written = writtenMetadata(wanted);
  if (subresource === 'status') return decideStatus(before, wanted, written);
  const metadata = changedMetadata(before, written);
  if (!kinds[kind].status) return decided(kind, before, { ...wanted, metadata }, 'all');
  const { status: _status, ...main } = wanted;
  const kept = before['status'] === undefined ? {} : { status: before['status'] };
  return decided(kind, before, { ...main, metadata, ...kept }, 'main');
}

function decideStatus(before: StoredResource, wanted: JsonObject, written: ObjectMeta): Decision {
  if (!kinds[before.kind].status) {
    throw new StoreError('NotFound', `${before.kind} has no status subresource; write the resource itself`);
  }
  checkPreconditions(before, written);
  const { status: _status, ...main } = before;
  const status = wanted['status'] === undefined ? {} : { status: wanted['status'] };
  return decided(before.kind, before, { ...main, metadata: before.metadata, ...status }, 'status');
}

/** Deleting: at once, or, while there are finalizers, as a mark. */
export function decideDelete(before: StoredResource, now: number): Decision {
  const { metadata } = before;
  if (!metadata.finalizers?.length) return removal(before, metadata);
  if (metadata.deletionTimestamp !== undefined) return { outcome: 'unchanged', resource: before };
  return settled('put', before, {
    ...metadata,
    ...(metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }),
    deletionTimestamp: rfc3339(now),
    deletionGracePeriodSeconds: 0,
  });
}

/** Admission, then what became of the write. */
function decided(
  kind: Kind,
  before: StoredResource | undefined,
  after: JsonObject & { readonly metadata: StoredMeta },
  part: 'main' | 'status' | 'all',
): Decision {
  const written = kind === 'Secret' ? foldSecret(after) : after;
  const admitted = admit(
    kind,
    { ...written, apiVersion: apiVersionOf(kind) },
    { before, part, unknownFields: 'prune' },
  );
  const faults = kind === 'Secret' ? [...admitted.faults, ...secretFaults(before, written)] : admitted.faults;
  if (faults.length > 0) throw invalidFaults(`${kind} ${keyText(after.metadata)}`, faults);
  const resource = assemble(kind, admitted.object, after.metadata);
  if (before === undefined) return settled('put', resource, after.metadata);
  const mainChanged = !jsonEqual(mainPart(before), mainPart(resource));
  if (
    !mainChanged &&
    jsonEqual(before['status'], resource['status']) &&
    jsonEqual(before.metadata, after.metadata)
  ) {
    return { outcome: 'unchanged', resource: before };
  }
  const metadata =
    mainChanged && after.metadata.generation !== undefined
      ? { ...after.metadata, generation: after.metadata.generation + 1 }
      : after.metadata;
  const ends = metadata.deletionTimestamp !== undefined && !metadata.finalizers?.length;
  return ends ? removal(resource, metadata) : settled('put', resource, metadata);
}

function assemble(kind: Kind, admitted: JsonObject, metadata: StoredMeta): StoredResource {
  const { apiVersion: _version, kind: _kind, metadata: _metadata, ...rest } = admitted;
  return { apiVersion: apiVersionOf(kind), kind, metadata, ...rest };
}

/** All but metadata and, where it is written apart, status: what `generation` counts. */
function mainPart(resource: StoredResource): JsonObject {
  const { metadata: _metadata, status, ...main } = resource;
  return kinds[resource.kind].status || status === undefined ? main : { ...main, status };
}

function removal(resource: StoredResource, metadata: StoredMeta): Decision {
  return settled('remove', resource, metadata);
}

function settled(outcome: 'put' | 'remove', resource: StoredResource, metadata: StoredMeta): Decision {
  const { resourceVersion: _version, ...stored } = metadata;
  const after = { ...resource, metadata: stored };
  const json = JSON.stringify(after);
  if (json.length > maxSize) {
    throw invalidFaults(`${resource.kind} ${keyText(metadata)}`, [
      { path: '', message: `is ${json.length} bytes as JSON; the most is ${maxSize}` },
    ]);
  }
  return { outcome, resource: after as StoredResource, json };
}
