import { setImmediate as turn } from 'node:timers/promises';
import type { Kind } from '../../api/kinds.ts';
import type { Clock } from '../../base/clock.ts';
import { type JsonObject, mergePatch } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import { retryLogLevel } from '../errors.ts';
import { alreadyExists, invalid, notFound } from '../refusals.ts';
import type { Key } from '../store.ts';
import { parseObject, writtenKind, writtenMetadata } from '../written.ts';
import { Compactor } from './compactor.ts';
import { type Addition, type Decision, decideCreate, decideDelete, decideReplace } from './decide-write.ts';
import { FilePlace } from './file-place.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { StoreHealth } from './health.ts';
import { type ListPosition, type ListQuery, readList } from './list-reader.ts';
import { checkPreconditions, generatedName } from './metadata.ts';
import { openFile } from './open-file.ts';
import type { FileEvent, ResourceFile, StatePage, WatchQuery, Write } from './resource-file.ts';
import { isBusy, notJson, toStoreError } from './sqlite-errors.ts';
import { State, type StoredResource } from './state.ts';
import { Tables } from './tables.ts';
import type { Transaction } from './transaction.ts';
import { WatchFeed } from './watch-feed.ts';
import { Writer } from './writer.ts';

/** Resources read in one go: between two goes of a long list the event loop turns. */
const chunkSize = 500;

export interface FileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Opens the file, making it if it is not there. Several processes may have it open at once.
 * @throws StoreError `Unavailable` with the remedy: a path that cannot be used, another program's file, a newer Telos's.
 */
export async function openLocalFile(options: FileOptions): Promise<ResourceFile> {
  const connection = await openFile(options.path, options.log);
  try {
    return new LocalFile(new Tables(connection), options);
  } catch (thrown) {
    connection.close();
    throw toStoreError(thrown, connection.path);
  }
}

/** The file, worked on in this thread. */
class LocalFile implements ResourceFile {
  readonly path: string;
  readonly #tables: Tables;
  readonly #place: FilePlace;
  readonly #writer: Writer;
  readonly #feed: WatchFeed;
  readonly #garbage: GarbageCollector;
  readonly #compactor: Compactor;
  readonly #health: StoreHealth;

  constructor(tables: Tables, { clock, log }: FileOptions) {
    this.path = tables.connection.path;
    this.#tables = tables;
    this.#health = new StoreHealth(clock, log);
    this.#place = new FilePlace(this.path);
    this.#writer = new Writer(
      tables,
      this.#place,
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

  async get(kind: Kind, key: Key): Promise<State | undefined> {
    return this.#reading(() => this.#tables.read(kind, key));
  }

  async list(
    query: ListQuery,
    limit: number,
    from: ListPosition | undefined,
    signal: AbortSignal | undefined,
  ): Promise<StatePage> {
    const items: State[] = [];
    let position = from;
    for (;;) {
      const wanted = limit === 0 ? chunkSize : Math.min(limit - items.length, chunkSize);
      const start: ListPosition | undefined = position;
      const part = this.#reading(() => readList(this.#tables, query, wanted, start));
      for (const item of part.items) items.push(item);
      const full = limit > 0 && items.length >= limit;
      if (part.next === undefined || full) return { items, version: part.version, next: part.next };
      position = part.next;
      await turn();
      signal?.throwIfAborted();
    }
  }

  /** Decides in the next transaction and stores what was decided. */
  async write(write: Write, signal: AbortSignal | undefined): Promise<State> {
    const decide = plan(write);
    const dryRun = write.verb !== 'delete' && write.dryRun === true;
    return this.#writer.write((transaction) => {
      const { before, decision } = decide(transaction);
      if (dryRun && decision.outcome !== 'unchanged') return new State(before?.rv ?? 0, decision.json);
      return before === undefined ? transaction.add(decision) : transaction.apply(before, decision);
    }, signal);
  }

  async *watch(query: WatchQuery, signal: AbortSignal): AsyncGenerator<readonly FileEvent[], void> {
    try {
      yield* this.#feed.watch(query, signal);
    } catch (thrown) {
      throw this.#failure(thrown);
    }
  }

  async ping(): Promise<void> {
    this.#reading(() => {
      this.#place.check();
      this.#tables.compactedVersion();
    });
    if (this.#health.isDamaged) throw this.#health.trouble;
    // It can be read; whether it can be written again is found out by writing.
    if (this.#health.trouble !== undefined) await this.#writer.write((transaction) => transaction.touch());
  }

  cannotBeRead(rv: number): void {
    this.#failure(notJson(rv));
  }

  async close(): Promise<void> {
    this.#feed.close();
    await this.#compactor.stop();
    await this.#writer.drained();
    await this.#garbage.drained();
    this.#tables.connection.close();
  }

  #committed(transaction: Transaction): void {
    if (transaction.isChanged) this.#health.written();
    for (const { type, state, before } of transaction.revisions) {
      if (before !== undefined) this.#tables.cache.drop(before.rv);
      if (type !== 'D') this.#tables.cache.put(state);
    }
    this.#feed.publish(transaction.revisions);
    if (transaction.hasGarbage) this.#garbage.start();
  }

  /** What another process left to collect when it ended is collected here. */
  #collectForOthers(): void {
    if (this.#tables.hasGarbage()) this.#garbage.start();
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
    const error = toStoreError(thrown, this.path);
    if (!isBusy(error.cause)) this.#health.failed(error);
    return error;
  }
}

/** A decision and the state that it is about. */
type Plan = (
  transaction: Transaction,
) =>
  | { readonly before: undefined; readonly decision: Addition }
  | { readonly before: State; readonly decision: Decision };

/** What is checked of a write at once; the rest is decided in its transaction. @throws StoreError `Invalid` */
function plan(write: Write): Plan {
  switch (write.verb) {
    case 'create':
      return planCreate(parseObject(write.text));
    case 'update':
      return planUpdate(parseObject(write.text), write.subresource);
    case 'patch': {
      const { kind, key, subresource } = write;
      const patch = parseObject(write.text);
      return (transaction) => {
        const before = present(transaction, kind, key);
        const wanted = patchedObject(before.resource, patch);
        return { before, decision: decideReplace(before.resource, wanted, subresource) };
      };
    }
    case 'delete':
      return (transaction) => {
        const before = present(transaction, write.kind, write.key);
        checkPreconditions(before.resource, write);
        return { before, decision: decideDelete(before.resource, transaction.now) };
      };
  }
}

function planCreate(object: JsonObject): Plan {
  const kind = writtenKind(object);
  const { name, generateName, namespace = 'default', resourceVersion } = writtenMetadata(object);
  if (!name && !generateName) throw invalid('metadata.name', 'is required (or generateName)');
  if (resourceVersion)
    throw invalid('metadata.resourceVersion', 'must not be set on a resource to be created');
  return (transaction) => {
    const key = { namespace, name: name || freeName(transaction, kind, namespace, generateName ?? '') };
    if (transaction.read(kind, key) !== undefined) throw alreadyExists(kind, key);
    return { before: undefined, decision: decideCreate(object, key, transaction.now) };
  };
}

function planUpdate(object: JsonObject, subresource: 'status' | undefined): Plan {
  const kind = writtenKind(object);
  const { name, namespace = 'default' } = writtenMetadata(object);
  if (!name) throw invalid('metadata.name', 'is required');
  return (transaction) => {
    const before = present(transaction, kind, { namespace, name });
    return { before, decision: decideReplace(before.resource, object, subresource) };
  };
}

function present(transaction: Transaction, kind: Kind, key: Key): State {
  const state = transaction.read(kind, key);
  if (state === undefined) throw notFound(kind, key);
  return state;
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
