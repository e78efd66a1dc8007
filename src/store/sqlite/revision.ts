import type { Kind } from '../../api/kinds.ts';
import type { StoredMeta } from '../../api/meta.ts';
import { deepFreeze } from '../../base/json.ts';
import { DamagedRowError } from './sqlite-errors.ts';

/** Any resource, as the store sees it: it knows metadata, the rest is the kind's. */
export interface StoredResource {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: StoredMeta;
  readonly [field: string]: unknown;
}

/** How a change stands in the table: added, modified, deleted. */
export type RevisionType = 'A' | 'M' | 'D';

/** One change of one resource. Its JSON is parsed when somebody looks, and once. */
export class Revision {
  readonly rv: number;
  readonly type: RevisionType;
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  /** Length of its JSON in UTF-16 units: what keeping it costs, roughly. */
  readonly size: number;
  readonly #json: string;
  readonly #readBefore: () => StoredResource | undefined;
  #resource: StoredResource | undefined;
  #before: { readonly resource: StoredResource | undefined } | undefined;

  constructor(
    row: RevisionRow,
    readBefore: () => StoredResource | undefined,
    resource?: StoredResource | undefined,
  ) {
    this.rv = row.rv;
    this.type = row.type;
    this.kind = row.kind;
    this.namespace = row.namespace;
    this.name = row.name;
    this.size = row.json.length;
    this.#json = row.json;
    this.#readBefore = readBefore;
    this.#resource = resource;
  }

  /** The state after the change; of a deletion, the last one. Frozen. */
  get resource(): StoredResource {
    this.#resource ??= decodeResource(this.#json, this.rv);
    return this.#resource;
  }

  /** The state before the change; undefined for an addition. */
  get before(): StoredResource | undefined {
    if (this.type === 'A') return undefined;
    this.#before ??= { resource: this.#readBefore() };
    return this.#before.resource;
  }
}

/** A row of `revision` with what a change needs. */
export interface RevisionRow {
  readonly rv: number;
  readonly type: RevisionType;
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  /** The version that this one supersedes; 0 for an addition. */
  readonly prev: number;
  readonly json: string;
}

/** Reads a stored JSON into a frozen resource. The version is not part of the JSON: it is the row's number. */
export function decodeResource(json: string, rv: number): StoredResource {
  let resource: StoredResource;
  try {
    resource = JSON.parse(json) as StoredResource;
  } catch (thrown) {
    throw new DamagedRowError(`version ${rv} is not JSON`, { cause: thrown });
  }
  return withVersion(resource, rv);
}

/** Stamps the version onto a resource that nobody else has seen yet, and freezes it. */
export function withVersion(resource: StoredResource, rv: number): StoredResource {
  (resource.metadata as { resourceVersion: string }).resourceVersion = String(rv);
  return deepFreeze(resource);
}
