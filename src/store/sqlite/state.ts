import type { Kind } from '../../api/kinds.ts';
import type { StoredMeta } from '../../api/meta.ts';
import { deepFreeze } from '../../base/json.ts';
import { notJson } from './sqlite-errors.ts';

/** Any resource, as the store sees it: it knows metadata, the rest is the kind's. */
export interface StoredResource {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: StoredMeta;
  readonly [field: string]: unknown;
}

/** One state of one resource: its version and its JSON, which is parsed when somebody looks, and once. */
export class State {
  /** 0 when it was never stored (a dry run's answer). */
  readonly rv: number;
  /** Without the version: that is the number of the row. */
  readonly json: string;
  #resource: StoredResource | undefined;

  /** `resource`, when it is at hand, belongs to the state from now on: it is stamped with the version and frozen. */
  constructor(rv: number, json: string, resource?: StoredResource) {
    this.rv = rv;
    this.json = json;
    this.#resource = resource === undefined ? undefined : stamp(resource, rv);
  }

  /** Frozen. @throws DamagedRowError */
  get resource(): StoredResource {
    this.#resource ??= stamp(parse(this.json, this.rv), this.rv);
    return this.#resource;
  }
}

function parse(json: string, rv: number): StoredResource {
  try {
    return JSON.parse(json) as StoredResource;
  } catch (thrown) {
    throw notJson(rv, thrown);
  }
}

function stamp(resource: StoredResource, rv: number): StoredResource {
  (resource.metadata as { resourceVersion: string }).resourceVersion = rv === 0 ? '' : String(rv);
  return deepFreeze(resource);
}
