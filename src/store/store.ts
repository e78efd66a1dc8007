import type { Draft, Kind, Resource } from '../api/kinds.ts';

/** What names a resource of a given kind. */
export interface Key {
  readonly namespace: string;
  readonly name: string;
}

/** Every operation may be given up; a write that was already handed over may still take effect. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ListOptions extends CallOptions {
  /** Only this namespace; absent: all. */
  readonly namespace?: string | undefined;
  /** Kubernetes label selector (`a=b,c!=d,e in (f,g),!h,i`). */
  readonly labelSelector?: string | undefined;
  /** At most so many items; the answer then has `continue` when there are more. */
  readonly limit?: number | undefined;
  /** The token of the page before. A token that is too old is `Gone`. */
  readonly continue?: string | undefined;
}

/** One page, ordered by namespace, then name. */
export interface Page<K extends Kind> {
  readonly items: readonly Resource<K>[];
  /** The store's version that the whole list stands for: where a watch may begin. */
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
}

export interface WatchOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** Changes after this version; one that is too old is `Gone`. */
  readonly resourceVersion: string;
}

/**
 * One change, in the order of the store. With a label selector, an object that stops matching is DELETED and
 * one that begins to match is ADDED. BOOKMARK carries nothing but the version reached.
 */
export type Change<R> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly resource: R }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** A change of a resource of one kind. */
export type WatchEvent<K extends Kind> = Change<Resource<K>>;

export interface WriteOptions extends CallOptions {
  /** `status` writes only the status, everything else writes all but the status. */
  readonly subresource?: 'status' | undefined;
  /** Checks everything, stores nothing. */
  readonly dryRun?: boolean | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Refuse with Conflict unless the resource still has this uid. */
  readonly uid?: string | undefined;
  /** Refuse with Conflict unless the resource still has this version. */
  readonly resourceVersion?: string | undefined;
}

/** An RFC 7396 merge patch: null removes, arrays are replaced. `metadata.resourceVersion` in it is a precondition. */
export type MergePatch = Readonly<Record<string, unknown>>;

/**
 * Where resources live. It behaves as the Kubernetes API does, whatever is behind it: one contract suite
 * (`test/store/contract.ts`) holds for every adapter.
 *
 * - Resources given out are frozen snapshots shared between readers: never change one in place.
 * - Writing what is already there changes nothing: no new version, no event.
 * - `generation` grows with every change outside metadata and status.
 * - Deleting a resource that has finalizers sets `deletionTimestamp`; it goes when the last finalizer does.
 * - Dependents (ownerReferences by uid) go after their last owner.
 * - Errors are StoreError with code NotFound, AlreadyExists, Conflict, Invalid, Gone, Unavailable.
 */
export interface ResourceStore {
  get<K extends Kind>(kind: K, key: Key, options?: CallOptions): Promise<Resource<K>>;
  list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<K>>;
  /**
   * Changes after a version, until the signal aborts or the consumer returns. Ends by throwing `Gone` when the
   * version is no longer kept: list again. May end without error at any time: watch again from the last version.
   */
  watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>>;
  /** A status in the draft is ignored for kinds with a status subresource. */
  create<K extends Kind>(draft: Draft<K>, options?: Omit<WriteOptions, 'subresource'>): Promise<Resource<K>>;
  /** Replaces. A `metadata.resourceVersion` that is not the present one is Conflict; without one the last writer wins. */
  update<K extends Kind>(resource: Draft<K>, options?: WriteOptions): Promise<Resource<K>>;
  patch<K extends Kind>(kind: K, key: Key, patch: MergePatch, options?: WriteOptions): Promise<Resource<K>>;
  /** Resolves with the last state: gone, or with `deletionTimestamp` set. */
  delete<K extends Kind>(kind: K, key: Key, options?: DeleteOptions): Promise<Resource<K>>;
  /** Whether it can be read now. @throws StoreError `Unavailable` with the remedy when not. */
  ping(options?: CallOptions): Promise<void>;
  /** Finishes the writes that were handed over, then lets go of everything. */
  close(): Promise<void>;
}

/** The key of a resource. */
export function keyOf(resource: { readonly metadata: Key }): Key {
  return { namespace: resource.metadata.namespace, name: resource.metadata.name };
}

/** A key as one string, for maps and queues: `namespace/name`. */
export function keyText(key: Key): string {
  return `${key.namespace}/${key.name}`;
}

/** The key that `keyText` wrote. */
export function parseKeyText(text: string): Key {
  const slash = text.indexOf('/');
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}
