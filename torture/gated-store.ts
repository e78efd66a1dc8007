import type { Draft, Kind, Resource } from '../src/api/kinds.ts';
import { isStoreError } from '../src/store/errors.ts';
import type {
  CallOptions,
  DeleteOptions,
  Key,
  ListOptions,
  MergePatch,
  Page,
  ResourceStore,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from '../src/store/store.ts';
import type { Gate } from './gate.ts';

/**
 * A store that is asked only while it is well: whoever writes the Tasks of a torture must know what was written. Tells
 * of each resource that it has created.
 */
export class GatedStore implements ResourceStore {
  readonly #store: ResourceStore;
  readonly #gate: Gate;
  readonly #onCreate: (created: Resource) => void;

  constructor(store: ResourceStore, gate: Gate, onCreate: (created: Resource) => void) {
    this.#store = store;
    this.#gate = gate;
    this.#onCreate = onCreate;
  }

  get<K extends Kind>(kind: K, key: Key, options?: CallOptions): Promise<Resource<K>> {
    return this.#gate.pass(() => this.#store.get(kind, key, options));
  }

  list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<K>> {
    return this.#gate.pass(() => this.#store.list(kind, options));
  }

  watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    return this.#store.watch(kind, options);
  }

  async create<K extends Kind>(
    draft: Draft<K>,
    options?: Omit<WriteOptions, 'subresource'>,
  ): Promise<Resource<K>> {
    const created = await this.#gate.pass(() => this.#store.create<K>(draft, options));
    this.#onCreate(created);
    return created;
  }

  update<K extends Kind>(resource: Draft<K>, options?: WriteOptions): Promise<Resource<K>> {
    return this.#gate.pass(() => this.#store.update<K>(resource, options));
  }

  async patch<K extends Kind>(
    kind: K,
    key: Key,
    patch: MergePatch,
    options?: WriteOptions,
  ): Promise<Resource<K>> {
    for (;;) {
      try {
        return await this.#gate.pass(() => this.#store.patch(kind, key, patch, options));
      } catch (error) {
        // An API server gives up a patch without a version, too, when others write all the time: it wrote nothing.
        if (!isStoreError(error, 'Conflict')) throw error;
      }
    }
  }

  delete<K extends Kind>(kind: K, key: Key, options?: DeleteOptions): Promise<Resource<K>> {
    return this.#gate.pass(() => this.#store.delete(kind, key, options));
  }

  ping(options?: CallOptions): Promise<void> {
    return this.#store.ping(options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
