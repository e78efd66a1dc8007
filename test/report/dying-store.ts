import type { Draft, Kind, Resource } from '../../src/api/kinds.ts';
import { StoreError } from '../../src/store/errors.ts';
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
} from '../../src/store/store.ts';

/** Whether the write at which the process dies still reaches the disk. */
export type Death = 'before the write' | 'after the write';

/** The store as a process sees it that is killed at its n-th write: from then on nothing gets through. */
export class DyingStore implements ResourceStore {
  readonly #store: ResourceStore;
  readonly #death: Death;
  #writesLeft: number;
  #dead = false;
  #die: () => void = () => {};
  /** Resolves at its death. */
  readonly died: Promise<void>;

  constructor(store: ResourceStore, death: Death, writes: number) {
    this.#store = store;
    this.#death = death;
    this.#writesLeft = writes;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  get isDead(): boolean {
    return this.#dead;
  }

  get<K extends Kind>(kind: K, key: Key, options?: CallOptions): Promise<Resource<K>> {
    return this.#read(() => this.#store.get(kind, key, options));
  }

  list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<K>> {
    return this.#read(() => this.#store.list(kind, options));
  }

  async *watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    for await (const event of this.#store.watch(kind, options)) {
      this.#refuseTheDead();
      yield event;
    }
  }

  create<K extends Kind>(draft: Draft<K>, options?: WriteOptions): Promise<Resource<K>> {
    return this.#write(() => this.#store.create(draft, options));
  }

  update<K extends Kind>(resource: Draft<K>, options?: WriteOptions): Promise<Resource<K>> {
    return this.#write(() => this.#store.update(resource, options));
  }

  patch<K extends Kind>(kind: K, key: Key, patch: MergePatch, options?: WriteOptions): Promise<Resource<K>> {
    return this.#write(() => this.#store.patch(kind, key, patch, options));
  }

  delete<K extends Kind>(kind: K, key: Key, options?: DeleteOptions): Promise<Resource<K>> {
    return this.#write(() => this.#store.delete(kind, key, options));
  }

  ping(options?: CallOptions): Promise<void> {
    return this.#read(() => this.#store.ping(options));
  }

  async close(): Promise<void> {}

  async #read<T>(call: () => Promise<T>): Promise<T> {
    this.#refuseTheDead();
    const result = await call();
    this.#refuseTheDead();
    return result;
  }

  async #write<T>(call: () => Promise<T>): Promise<T> {
    this.#refuseTheDead();
    this.#writesLeft -= 1;
    const last = this.#writesLeft < 0;
    if (last) this.#dead = true;
    if (last && this.#death === 'before the write') {
      this.#die();
      this.#refuseTheDead();
    }
    const result = await call();
    if (last) this.#die();
    this.#refuseTheDead();
    return result;
  }

  #refuseTheDead(): void {
    if (this.#dead) throw new StoreError('Unavailable', 'this process is dead');
  }
}
