import type { Draft, Kind, Resource } from '../../api/kinds.ts';
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
} from '../store.ts';
import type { Tenure } from './tenure.ts';

/**
 * What of a store belongs to one shard, for as long as the shard is ours: lists and watches show its namespaces only;
 * nothing is written once the tenure is over, and a call that is under way then is given up.
 */
export class ShardedStore implements ResourceStore {
  readonly #store: ResourceStore;
  readonly #has: (namespace: string) => boolean;
  readonly #tenure: Tenure;

  /** `has`: whether a namespace belongs to the shard. */
  constructor(store: ResourceStore, has: (namespace: string) => boolean, tenure: Tenure) {
    this.#store = store;
    this.#has = has;
    this.#tenure = tenure;
  }

  get<K extends Kind>(kind: K, key: Key, options?: CallOptions): Promise<Resource<K>> {
    return this.#store.get(kind, key, this.#while(options));
  }

  async list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<K>> {
    const page = await this.#store.list(kind, this.#while(options));
    return { ...page, items: page.items.filter((item) => this.#has(item.metadata.namespace)) };
  }

  async *watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    for await (const event of this.#store.watch(kind, this.#while(options))) {
      if (event.type === 'BOOKMARK' || this.#has(event.resource.metadata.namespace)) yield event;
      // How far it got is known all the same.
      else yield { type: 'BOOKMARK', resourceVersion: event.resource.metadata.resourceVersion };
    }
  }

  async create<K extends Kind>(
    draft: Draft<K>,
    options?: Omit<WriteOptions, 'subresource'>,
  ): Promise<Resource<K>> {
    this.#tenure.check();
    return this.#store.create(draft, this.#while(options));
  }

  async update<K extends Kind>(resource: Draft<K>, options?: WriteOptions): Promise<Resource<K>> {
    this.#tenure.check();
    return this.#store.update(resource, this.#while(options));
  }

  async patch<K extends Kind>(
    kind: K,
    key: Key,
    patch: MergePatch,
    options?: WriteOptions,
  ): Promise<Resource<K>> {
    this.#tenure.check();
    return this.#store.patch(kind, key, patch, this.#while(options));
  }

  async delete<K extends Kind>(kind: K, key: Key, options?: DeleteOptions): Promise<Resource<K>> {
    this.#tenure.check();
    return this.#store.delete(kind, key, this.#while(options));
  }

  ping(options?: CallOptions): Promise<void> {
    return this.#store.ping(options);
  }

  /** The store is others', too: whoever opened it closes it. */
  async close(): Promise<void> {}

  #while<O extends CallOptions>(options: O | undefined): O {
    const { signal: over } = this.#tenure;
    const given = options?.signal;
    return { ...options, signal: given === undefined ? over : AbortSignal.any([given, over]) } as O;
  }
}
