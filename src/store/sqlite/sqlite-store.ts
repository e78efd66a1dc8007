import { type Draft, type Kind, kinds, type Resource } from '../../api/kinds.ts';
import { abortable } from '../../base/abort.ts';
import { StoreError } from '../errors.ts';
import { parseLabelSelector } from '../label-selector.ts';
import { invalid, notFound } from '../refusals.ts';
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
import { toJsonText } from '../written.ts';
import { decodeToken, encodeToken } from './list-reader.ts';
import { type FileOptions, openLocalFile } from './local-file.ts';
import type { ResourceFile, Write } from './resource-file.ts';
import { DamagedRowError, toStoreError } from './sqlite-errors.ts';
import type { State } from './state.ts';

/**
 * Opens the store in one SQLite file, made if it is not there, and works on it in this thread: right for a
 * command. An engine uses `openThreadedStore`, whose event loop never waits for the disk.
 * @throws StoreError `Unavailable` with the remedy: a path that cannot be used, another program's file, a newer Telos's.
 */
export async function openSqliteStore(options: FileOptions): Promise<ResourceStore> {
  return new SqliteStore(await openLocalFile(options));
}

/** A store over a file, wherever the file is worked on. */
export class SqliteStore implements ResourceStore {
  readonly #file: ResourceFile;
  #closing: Promise<void> | undefined;

  constructor(file: ResourceFile) {
    this.#file = file;
  }

  async get<K extends Kind>(kind: K, key: Key, options: CallOptions = {}): Promise<Resource<K>> {
    this.#admitCall(kind, options);
    const state = await given(this.#file.get(kind, key), options.signal);
    if (state === undefined) throw notFound(kind, key);
    return this.#resourceOf<K>(state);
  }

  async list<K extends Kind>(kind: K, options: ListOptions = {}): Promise<Page<K>> {
    this.#admitCall(kind, options);
    const { namespace, limit = 0, signal } = options;
    if (!Number.isSafeInteger(limit) || limit < 0) throw invalid('limit', 'must be a whole number from 0 on');
    const query = { kind, namespace, selector: parseLabelSelector(options.labelSelector) };
    const from = options.continue ? decodeToken(options.continue) : undefined;
    const { items, version, next } = await given(this.#file.list(query, limit, from, signal), signal);
    return {
      items: items.map((state) => this.#resourceOf<K>(state)),
      resourceVersion: String(version),
      ...(next === undefined ? {} : { continue: encodeToken(next) }),
    };
  }

  watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    return {
      [Symbol.asyncIterator]: () => {
        const ended = new AbortController();
        const events = this.#events(kind, options, ended);
        return {
          next: () => events.next(),
          return: () => {
            // A generator ends only between two events: wake it, should it be waiting for one.
            ended.abort();
            return events.return();
          },
        };
      },
    };
  }

  async create<K extends Kind>(
    draft: Draft<K>,
    options: Omit<WriteOptions, 'subresource'> = {},
  ): Promise<Resource<K>> {
    const { dryRun } = options;
    return this.#write<K>({ verb: 'create', text: toJsonText(draft), dryRun }, options);
  }

  async update<K extends Kind>(resource: Draft<K>, options: WriteOptions = {}): Promise<Resource<K>> {
    const { subresource, dryRun } = options;
    return this.#write<K>({ verb: 'update', text: toJsonText(resource), subresource, dryRun }, options);
  }

  async patch<K extends Kind>(
    kind: K,
    { namespace, name }: Key,
    patch: MergePatch,
    options: WriteOptions = {},
  ): Promise<Resource<K>> {
    this.#admitCall(kind, options);
    const { subresource, dryRun } = options;
    const text = toJsonText(patch);
    return this.#write<K>(
      { verb: 'patch', kind, key: { namespace, name }, text, subresource, dryRun },
      options,
    );
  }

  async delete<K extends Kind>(
    kind: K,
    { namespace, name }: Key,
    options: DeleteOptions = {},
  ): Promise<Resource<K>> {
    this.#admitCall(kind, options);
    const { uid, resourceVersion } = options;
    return this.#write<K>({ verb: 'delete', kind, key: { namespace, name }, uid, resourceVersion }, options);
  }

  async ping(options: CallOptions = {}): Promise<void> {
    this.#admitCall('Task', options);
    await given(this.#file.ping(), options.signal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#file.close();
    return this.#closing;
  }

  async #write<K extends Kind>(write: Write, { signal }: CallOptions): Promise<Resource<K>> {
    this.#admitOpen(signal);
    return this.#resourceOf<K>(await given(this.#file.write(write, signal), signal));
  }

  async *#events<K extends Kind>(
    kind: K,
    { namespace, labelSelector, resourceVersion, signal }: WatchOptions,
    ended: AbortController,
  ): AsyncGenerator<WatchEvent<K>, void> {
    if (signal?.aborted) return;
    this.#admitCall(kind, {});
    if (!/^\d{1,15}$/.test(resourceVersion)) {
      throw invalid('resourceVersion', 'is not a version that this store gave');
    }
    const selector = parseLabelSelector(labelSelector);
    const end = (): void => ended.abort();
    signal?.addEventListener('abort', end, { once: true });
    try {
      const query = { kind, namespace, selector, from: Number(resourceVersion) };
      for await (const events of this.#file.watch(query, ended.signal)) {
        for (const event of events) {
          yield event.type === 'BOOKMARK'
            ? { type: event.type, resourceVersion: String(event.version) }
            : { type: event.type, resource: this.#resourceOf<K>(event.state) };
          if (ended.signal.aborted) return;
        }
      }
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  #resourceOf<K extends Kind>(state: State): Resource<K> {
    try {
      return state.resource as unknown as Resource<K>;
    } catch (thrown) {
      if (thrown instanceof DamagedRowError) this.#file.cannotBeRead(state.rv);
      throw toStoreError(thrown, this.#file.path);
    }
  }

  /** Refuses calls that cannot be right, before anything is done. */
  #admitCall(kind: string, { signal }: CallOptions): void {
    this.#admitOpen(signal);
    if (!Object.hasOwn(kinds, kind)) throw invalid('kind', `${JSON.stringify(kind)} is not a kind`);
  }

  #admitOpen(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closing !== undefined) {
      throw new StoreError('Unavailable', `store ${this.#file.path}: is closed`);
    }
  }
}

/** The promise, or the signal's reason as soon as it aborts. */
function given<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal === undefined ? promise : abortable(promise, signal);
}
