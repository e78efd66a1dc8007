import { admit, type Part } from '../../api/admission.ts';
import type { Fault } from '../../api/fault.ts';
import { type Kind, kinds, type Resource } from '../../api/kinds.ts';
import type { ObjectMeta, StoredMeta } from '../../api/meta.ts';
import { type JsonObject, jsonEqual } from '../../base/json.ts';
import { rfc3339 } from '../../base/text.ts';
import { StoreError } from '../errors.ts';
import { invalid, invalidFaults } from '../refusals.ts';
import { type Key, keyText } from '../store.ts';
import { writtenKind, writtenMetadata } from '../written.ts';
import { changedMetadata, checkPreconditions, newMetadata } from './metadata.ts';
import type { StoredResource } from './state.ts';

/** What a write comes to. `put` and `remove` carry the new state, without its version; the JSON is what is stored. */
export type Decision =
  | { readonly outcome: 'unchanged' }
  | Addition
  | { readonly outcome: 'remove'; readonly resource: StoredResource; readonly json: string };

/** What creating comes to. */
export interface Addition {
  readonly outcome: 'put';
  readonly resource: StoredResource;
  readonly json: string;
}

/** The largest resource, in UTF-16 units of its JSON: what etcd takes by default. */
const maxSize = 1_572_864;

/** A new resource under a name that is free. */
export function decideCreate(draft: JsonObject, key: Key, now: number): Addition {
  const kind = writtenKind(draft);
  const metadata = newMetadata(kind, writtenMetadata(draft), key.name, key.namespace, now);
  const { status, ...main } = draft;
  const part = kinds[kind].status ? 'main' : 'all';
  const written = part === 'main' || status === undefined ? main : draft;
  const resource = admitted(kind, undefined, { ...written, metadata: metadata as StoredMeta }, part);
  return settled('put', resource, resource.metadata);
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
  if (!metadata.finalizers?.length) return settled('remove', before, metadata);
  if (metadata.deletionTimestamp !== undefined) return { outcome: 'unchanged' };
  return settled('put', before, {
    ...metadata,
    ...(metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }),
    deletionTimestamp: rfc3339(now),
    deletionGracePeriodSeconds: 0,
  });
}

/** What admission makes of a written state. @throws StoreError `Invalid` */
function admitted(
  kind: Kind,
  before: StoredResource | undefined,
  after: JsonObject & { readonly metadata: StoredMeta },
  part: Part,
): StoredResource {
  const written = kind === 'Secret' ? { ...after, type: after['type'] || 'Opaque' } : after;
  const { object, faults } = admit(kind, written, {
    before: before as Resource | undefined,
    part,
    unknownFields: 'prune',
  });
  const all = kind === 'Secret' ? [...faults, ...fixedSecretFaults(before, written)] : faults;
  if (all.length > 0) throw invalidFaults(`${kind} ${keyText(after.metadata)}`, all);
  return object as unknown as StoredResource;
}

/** Admission, then what became of the write over an existing resource. */
function decided(
  kind: Kind,
  before: StoredResource,
  after: JsonObject & { readonly metadata: StoredMeta },
  part: Part,
): Decision {
  const resource = admitted(kind, before, after, part);
  const mainChanged = !jsonEqual(mainPart(before), mainPart(resource));
  const otherChanged =
    !jsonEqual(before['status'], resource['status']) || !jsonEqual(before.metadata, resource.metadata);
  if (!mainChanged && !otherChanged) return { outcome: 'unchanged' };
  const { generation, ...metadata } = resource.metadata;
  const counted =
    generation === undefined ? metadata : { ...metadata, generation: generation + (mainChanged ? 1 : 0) };
  const ends = metadata.deletionTimestamp !== undefined && !metadata.finalizers?.length;
  return ends ? settled('remove', resource, counted) : settled('put', resource, counted);
}

/** What the API server does not let change in a Secret, besides what admission knows. */
function fixedSecretFaults(before: JsonObject | undefined, after: JsonObject): Fault[] {
  const faults: Fault[] = [];
  if (before === undefined) return faults;
  if (before['type'] !== after['type']) faults.push({ path: 'type', message: 'cannot be changed' });
  if (before['immutable'] === true && after['immutable'] !== true) {
    faults.push({ path: 'immutable', message: 'cannot be taken back' });
  }
  return faults;
}

/** All but metadata and, where it is written apart, status: what `generation` counts. */
function mainPart(resource: StoredResource): JsonObject {
  const { metadata: _metadata, status, ...main } = resource;
  return kinds[resource.kind].status || status === undefined ? main : { ...main, status };
}

function settled<O extends 'put' | 'remove'>(
  outcome: O,
  resource: StoredResource,
  metadata: StoredMeta,
): { readonly outcome: O; readonly resource: StoredResource; readonly json: string } {
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
