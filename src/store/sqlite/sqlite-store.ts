import { setImmediate as turn } from 'node:timers/promises';
import { type Draft, type Kind, kinds, type Resource } from '../../api/kinds.ts';
import { abortable } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { type JsonObject, mergePatch } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import { retryLogLevel, StoreError } from '../errors.ts';
import { parseLabelSelector } from '../label-selector.ts';
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
import { Compactor } from './compactor.ts';
import {
  type Decision,
  decideCreate,
  decideDelete,
  decideReplace,
  plainJson,
  writtenKind,
} from './decide-write.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { StoreHealth } from './health.ts';
import { decodeToken, encodeToken, type ListPosition, readList } from './list-reader.ts';
import { checkPreconditions, generatedName, writtenMetadata } from './metadata.ts';
import { openFile } from './open-file.ts';
import { alreadyExists, invalid, notFound } from './refusals.ts';
import type { StoredResource } from './revision.ts';
import { isBusy, toStoreError } from './sqlite-errors.ts';
import { Tables } from './tables.ts';
import type { Transaction } from './transaction.ts';
import { type FeedEvent, WatchFeed } from './watch-feed.ts';
import { Writer } from './writer.ts';

/** Resources read in one go: between two goes of a long list the event loop turns. */
const chunkSize = 500;

export interface SqliteStoreOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Opens the store in one SQLite file, made if it is not there. Several processes may have it open at once.
 * @throws StoreError `Unavailable` with the remedy: a path that cannot be used, another program's file, a newer Telos's.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<ResourceStore> {
  const connection = await openFile(options.path, options.log);
  try {
    return new SqliteStore(new Tables(connection), options);
  } catch (thrown) {
    connection.close();
    throw toStoreError(thrown, connection.path);
  }
}

class SqliteStore implements ResourceStore {
  readonly #tables: Tables;
  readonly #writer: Writer;
  readonly #feed: WatchFeed;
  readonly #garbage: GarbageCollector;
  readonly #compactor: Compactor;
  readonly #health: StoreHealth;
  #closing: Promise<void> | undefined;

  constructor(tables: Tables, { clock, log }: SqliteStoreOptions) {
    this.#tables = tables;
    this.#health = new StoreHealth(clock, log);
    this.#writer = new Writer(
      tables,
      clock,
      (transaction) => this.#committed(transaction),
      (error) => this.#health.failed(error),
    );
    this.#garbage = new GarbageCollector(this.#writer, (error) =>
      log[retryLogLevel(error)]('dependents of deleted resources will be removed later', {
        error: error.message,
      }),
    );
    this.#compactor = new Compactor(this.#writer, clock, (error) =>
      log[retryLogLevel(error)]('old history will be removed later', { error: error.message }),
    );
    this.#feed = new WatchFeed(tables, () => this.#collectForOthers());
    this.#collectForOthers();
    this.#compactor.start();
  }

  async get<K extends Kind>(kind: K, key: Key, options: CallOptions = {}): Promise<Resource<K>> {
    this.#admitCall(kind, options);
    const resource = this.#reading(() => this.#tables.read(kind, key));
    if (resource === undefined) throw notFound(kind, key);
    return as<K>(resource);
  }

  async list<K extends Kind>(kind: K, options: ListOptions = {}): Promise<Page<K>> {
    this.#admitCall(kind, options);
    const { namespace, limit = 0 } = options;
    if (!Number.isSafeInteger(limit) || limit < 0) throw invalid('limit', 'must be a whole number from 0 on');
    const query = { kind, namespace, selector: parseLabelSelector(options.labelSelector) };
    const items: StoredResource[] = [];
    let position: ListPosition | undefined = options.continue ? decodeToken(options.continue) : undefined;
    for (;;) {
      const wanted = limit === 0 ? chunkSize : Math.min(limit - items.length, chunkSize);
      const start: ListPosition | undefined = position;
      const part = this.#reading(() => readList(this.#tables, query, wanted, start));
      for (const item of part.items) items.push(item);
      const full = limit > 0 && items.length >= limit;
      if (part.next === undefined || full) {
        return {
          items: items as unknown as Resource<K>[],
          resourceVersion: String(part.version),
          ...(part.next === undefined ? {} : { continue: encodeToken(part.next) }),
        };
      }
      position = part.next;
      await turn();
      this.#admitCall(kind, options);
    }
  }

  watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    return {
      [Symbol.asyncIterator]: () => {
        const ended = new AbortController();
        const events = this.#events(kind, options, ended);
        return {
          next: () => events.next() as Promise<IteratorResult<WatchEvent<K>>>,
          return: () => {
            // A generator ends only between two events: wake it, should it be waiting for one.
            ended.abort();
            return events.return() as Promise<IteratorResult<WatchEvent<K>>>;
          },
        };
      },
    };
  }

  async create<K extends Kind>(
    draft: Draft<K>,
    options: Omit<WriteOptions, 'subresource'> = {},
  ): Promise<Resource<K>> {
    const object = plainJson(draft);
    const kind = writtenKind(object);
    const { name, generateName, namespace = 'default', resourceVersion } = writtenMetadata(object);
    if (!name && !generateName) throw invalid('metadata.name', 'is required (or generateName)');
    if (resourceVersion)
      throw invalid('metadata.resourceVersion', 'must not be set on a resource to be created');
    const created = await this.#write(kind, options, (transaction) => {
      const key = { namespace, name: name || freeName(transaction, kind, namespace, generateName ?? '') };
      if (transaction.read(kind, key) !== undefined) throw alreadyExists(kind, key);
      return { before: undefined, decision: decideCreate(object, key, transaction.now) };
    });
    return as<K>(created);
  }

  async update<K extends Kind>(resource: Draft<K>, options: WriteOptions = {}): Promise<Resource<K>> {
    const object = plainJson(resource);
    const kind = writtenKind(object);
    const { name, namespace = 'default' } = writtenMetadata(object);
    if (!name) throw invalid('metadata.name', 'is required');
    const updated = await this.#write(kind, options, (transaction) => {
      const before = present(transaction, kind, { namespace, name });
      return { before, decision: decideReplace(before, object, options.subresource) };
    });
    return as<K>(updated);
  }

  async patch<K extends Kind>(
    kind: K,
    key: Key,
    patch: MergePatch,
    options: WriteOptions = {},
  ): Promise<Resource<K>> {
    const changes = plainJson(patch);
    const patched = await this.#write(kind, options, (transaction) => {
      const before = present(transaction, kind, key);
      const wanted = patchedObject(before, changes);
      return { before, decision: decideReplace(before, wanted, options.subresource) };
    });
    return as<K>(patched);
  }

  async delete<K extends Kind>(kind: K, key: Key, options: DeleteOptions = {}): Promise<Resource<K>> {
    const deleted = await this.#write(kind, options, (transaction) => {
      const before = present(transaction, kind, key);
      checkPreconditions(before, options);
      return { before, decision: decideDelete(before, transaction.now) };
    });
    return as<K>(deleted);
  }

  async ping(options: CallOptions = {}): Promise<void> {
    this.#admitCall('Task', options);
    this.#reading(() => this.#tables.compactedVersion());
    if (this.#health.isDamaged) throw this.#health.trouble;
    // It reads; whether it writes again is found out by writing.
    if (this.#health.trouble === undefined) return;
    const written = this.#writer.write((transaction) => transaction.touch(), options.signal);
    await (options.signal === undefined ? written : abortable(written, options.signal));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#feed.close();
    await this.#compactor.stop();
    await this.#writer.drained();
    await this.#garbage.drained();
    this.#tables.connection.close();
  }

  /** Decides in the next transaction and stores what was decided. */
  async #write(
    kind: Kind,
    options: WriteOptions,
    decide: (transaction: Transaction) => { before: StoredResource | undefined; decision: Decision },
  ): Promise<StoredResource> {
    const { signal, dryRun } = options;
    this.#admitCall(kind, options);
    const written = this.#writer.write((transaction) => {
      const { before, decision } = decide(transaction);
      if (decision.outcome === 'unchanged') return decision.resource;
      if (dryRun) return rehearsed(before, decision.resource);
      const { resource, json } = decision;
      if (decision.outcome === 'put') return transaction.put(before, resource, json);
      return transaction.remove(before ?? resource, resource, json);
    }, signal);
    return signal === undefined ? written : abortable(written, signal);
  }

  #committed(transaction: Transaction): void {
    if (transaction.isChanged) this.#health.written();
    for (const { type, rv, resource, size, before } of transaction.revisions) {
      if (before !== undefined) this.#tables.cache.drop(Number(before.metadata.resourceVersion));
      if (type !== 'D') this.#tables.cache.put(rv, resource, size);
    }
    this.#feed.publish(transaction.revisions);
    if (transaction.hasGarbage) this.#garbage.start();
  }

  /** What another process left to collect when it ended is collected here. */
  #collectForOthers(): void {
    if (this.#tables.hasGarbage()) this.#garbage.start();
  }

  async *#events(
    kind: Kind,
    { namespace, labelSelector, resourceVersion, signal }: WatchOptions,
    ended: AbortController,
  ): AsyncGenerator<FeedEvent, void> {
    if (signal?.aborted) return;
    this.#admitCall(kind, {});
    if (!/^\d{1,15}$/.test(resourceVersion)) {
      throw invalid('resourceVersion', 'is not a version that this store gave');
    }
    const selector = parseLabelSelector(labelSelector);
    const end = (): void => ended.abort();
    signal?.addEventListener('abort', end, { once: true });
    try {
      yield* this.#feed.watch({ kind, namespace, selector, from: Number(resourceVersion) }, ended.signal);
    } catch (thrown) {
      throw this.#failure(thrown);
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  /** Refuses calls that cannot be right, before anything is done. */
  #admitCall(kind: string, { signal }: CallOptions): void {
    signal?.throwIfAborted();
    if (this.#closing !== undefined) {
      throw new StoreError('Unavailable', `store ${this.#tables.connection.path}: is closed`);
    }
    if (!Object.hasOwn(kinds, kind)) throw invalid('kind', `${JSON.stringify(kind)} is not a kind`);
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (thrown) {
      throw this.#failure(thrown);
    }
  }

  /** What a failed read means; somebody else's lock is no trouble of the file. */
  #failure(thrown: unknown): Error {
    const error = toStoreError(thrown, this.#tables.connection.path);
    if (!isBusy(error.cause)) this.#health.failed(error);
    return error;
  }
}

function present(transaction: Transaction, kind: Kind, key: Key): StoredResource {
  const resource = transaction.read(kind, key);
  if (resource === undefined) throw notFound(kind, key);
  return resource;
}

/** As Kubernetes does: a few tries, then the caller may try again. */
function freeName(transaction: Transaction, kind: Kind, namespace: string, prefix: string): string {
  let name = generatedName(prefix);
  for (let tries = 1; tries < 8 && transaction.read(kind, { namespace, name }) !== undefined; tries += 1) {
    name = generatedName(prefix);
  }
  return name;
}

/** The resource that a merge patch makes of another. The version is a precondition only when the patch names it. */
function patchedObject(before: StoredResource, patch: JsonObject): JsonObject {
  const { resourceVersion: _version, ...metadata } = before.metadata;
  return mergePatch({ ...before, metadata }, patch) as JsonObject;
}

/** What a dry run answers: the new state, which has no version of its own. */
function rehearsed(before: StoredResource | undefined, after: StoredResource): StoredResource {
  const resourceVersion = before?.metadata.resourceVersion ?? '';
  return { ...after, metadata: { ...after.metadata, resourceVersion } };
}

function as<K extends Kind>(resource: StoredResource): Resource<K> {
  return resource as unknown as Resource<K>;
}
