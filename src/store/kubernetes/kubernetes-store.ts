import { type Draft, type Kind, kinds, type Resource } from '../../api/kinds.ts';
import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { isJsonObject, type JsonObject } from '../../base/json.ts';
import { isStoreError, StoreError } from '../errors.ts';
import { parseLabelSelector } from '../label-selector.ts';
import { conflict, invalid, notFound } from '../refusals.ts';
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
import { plainJson, writtenKind, writtenMetadata } from '../written.ts';
import { type ApiServer, type ConnectOptions, connectApiServer } from './api-server.ts';
import type { Discovery, ServedKind } from './discovery.ts';
import { PageSizes } from './page-sizes.ts';
import { type Query, withQuery } from './query.ts';
import { isNotServed, objectOf, refusedCall, refusedResource } from './status-errors.ts';
import type { ApiAnswer, ApiRequest, Transport } from './transport.ts';
import { endableWatch, watchEvents } from './watch-events.ts';
import { decodePage, decodeResource, encodeResource } from './wire.ts';

/** What fields of ours are told apart by in `managedFields`. */
const fieldManager = 'telos';
/** Tries of a write that names no version and met another writer each time. */
const maxWrites = 10;

/**
 * Opens the store that a Kubernetes API server is. Nothing is asked of it yet; `ping` tells whether it answers.
 * @throws StoreError `Unavailable` with the remedy when the kubeconfig cannot be used
 */
export async function openKubernetesStore(options: ConnectOptions): Promise<ResourceStore> {
  return createKubernetesStore(await connectApiServer(options));
}

/** The store that an API server is, over a connection that others may use, too; closing the store closes it. */
export function createKubernetesStore(server: ApiServer): ResourceStore {
  return new KubernetesStore(server);
}

class KubernetesStore implements ResourceStore {
  readonly #transport: Transport;
  readonly #discovery: Discovery;
  readonly #clock: Clock;
  readonly #pageSizes = new PageSizes();
  readonly #watches = new Set<AbortController>();
  #isClosing = false;

  constructor({ transport, discovery, clock }: ApiServer) {
    this.#transport = transport;
    this.#discovery = discovery;
    this.#clock = clock;
  }

  async get<K extends Kind>(kind: K, key: Key, { signal }: CallOptions = {}): Promise<Resource<K>> {
    const answer = await this.#call(kind, key, { method: 'GET', signal });
    return decodeResource(kind, answer);
  }

  async list<K extends Kind>(kind: K, options: ListOptions = {}): Promise<Page<K>> {
    const { namespace, labelSelector, limit = 0, signal } = options;
    if (!Number.isSafeInteger(limit) || limit < 0) throw invalid('limit', 'must be a whole number from 0 on');
    parseLabelSelector(labelSelector);
    const query = {
      labelSelector,
      limit: limit === 0 ? undefined : String(this.#pageSizes.limit(kind, limit)),
      continue: options.continue,
    };
    const answer = await this.#ask(kind, { namespace }, { method: 'GET', query, signal });
    const page = decodePage(answer, (item) => decodeResource(kind, item), this.#transport.name);
    this.#pageSizes.learn(kind, answer.body.length, page.items.length);
    return page;
  }

  watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    return endableWatch(options.signal, (ended) => this.#events(kind, options, ended));
  }

  async create<K extends Kind>(
    draft: Draft<K>,
    { dryRun, signal }: Omit<WriteOptions, 'subresource'> = {},
  ): Promise<Resource<K>> {
    const object = plainJson(draft);
    const kind = writtenKind(object) as K;
    const { name, generateName, namespace = 'default', resourceVersion } = writtenMetadata(object);
    if (!name && !generateName) throw invalid('metadata.name', 'is required (or generateName)');
    if (resourceVersion) {
      throw invalid('metadata.resourceVersion', 'must not be set on a resource to be created');
    }
    const request = { method: 'POST', body: object, query: writeQuery(dryRun), about: name, signal } as const;
    return decodeResource(kind, await this.#call(kind, { namespace }, request));
  }

  async update<K extends Kind>(resource: Draft<K>, options: WriteOptions = {}): Promise<Resource<K>> {
    const object = plainJson(resource);
    const kind = writtenKind(object) as K;
    const { name, namespace = 'default', uid, resourceVersion } = writtenMetadata(object);
    if (!name) throw invalid('metadata.name', 'is required');
    const key = { namespace, name };
    if (resourceVersion) return this.#replace(kind, key, object, options);
    const written = await this.#untilWritten(options.signal, async () => {
      // Kubernetes replaces a custom resource only by its version.
      const { metadata } = await this.get(kind, key, options);
      if (uid && uid !== metadata.uid) return undefined;
      const present = { ...(object['metadata'] as JsonObject), resourceVersion: metadata.resourceVersion };
      return this.#replace(kind, key, { ...object, metadata: present }, options);
    });
    if (written === undefined) throw conflict(kind, key, 'it is another one now');
    return written;
  }

  async patch<K extends Kind>(
    kind: K,
    key: Key,
    patch: MergePatch,
    { subresource, dryRun, signal }: WriteOptions = {},
  ): Promise<Resource<K>> {
    const body = plainJson(patch);
    const metadata = isJsonObject(body['metadata']) ? body['metadata'] : {};
    const write = async (): Promise<Resource<K>> => {
      const query = writeQuery(dryRun);
      const request = { method: 'PATCH', body, subresource, query, signal } as const;
      return decodeResource(kind, await this.#call(kind, key, request));
    };
    // With a precondition, Conflict is the answer; without, the API server has lost patience with other writers.
    return metadata['resourceVersion'] || metadata['uid'] ? write() : this.#untilWritten(signal, write);
  }

  async delete<K extends Kind>(kind: K, key: Key, options: DeleteOptions = {}): Promise<Resource<K>> {
    const { uid, resourceVersion, signal } = options;
    // What is gone is not shown by the answer.
    const last = await this.get(kind, key, { signal });
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      preconditions: { uid, resourceVersion },
    };
    const answer = await this.#call(kind, key, { method: 'DELETE', body, signal });
    return answer['kind'] === 'Status' ? last : decodeResource(kind, answer);
  }

  async ping({ signal }: CallOptions = {}): Promise<void> {
    const answer = await this.#transport.send({ method: 'GET', path: '/readyz', signal });
    if (answer.status !== 200) throw refusedCall(answer, this.#transport.name);
  }

  close(): Promise<void> {
    this.#isClosing = true;
    for (const watch of this.#watches) watch.abort();
    return this.#transport.close();
  }

  #replace<K extends Kind>(
    kind: K,
    key: Key,
    body: JsonObject,
    { subresource, dryRun, signal }: WriteOptions,
  ): Promise<Resource<K>> {
    const request = { method: 'PUT', body, subresource, query: writeQuery(dryRun), signal } as const;
    return this.#call(kind, key, request).then((answer) => decodeResource(kind, answer));
  }

  /** Tries again, after a little while, when another writer was faster. */
  async #untilWritten<T>(signal: AbortSignal | undefined, write: () => Promise<T>): Promise<T> {
    for (let writes = 1; ; writes += 1) {
      try {
        return await write();
      } catch (thrown) {
        if (writes === maxWrites || !isStoreError(thrown, 'Conflict')) throw thrown;
      }
      await sleep(writes * 10 * Math.random(), signal ?? new AbortController().signal, this.#clock);
    }
  }

  /** Sends a request about one resource (or, without a name, a collection); returns what a success says. */
  async #call(kind: Kind, place: Place, call: ResourceCall): Promise<JsonObject> {
    return objectOf(await this.#ask(kind, place, call), this.#transport.name);
  }

  async #ask(kind: Kind, place: Place, call: ResourceCall): Promise<ApiAnswer> {
    const { body, about, signal, method } = call;
    signal?.throwIfAborted();
    checkPlace(kind, place, call);
    const served = await this.#discovery.served(kind, signal);
    const request: ApiRequest = {
      method,
      path: pathOf(kind, served, place, call),
      signal,
      ...(body === undefined ? {} : { body: bodyText(kind, body, served, method) }),
      ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
    };
    const answer = await this.#transport.send(request);
    if (answer.status < 300) return answer;
    const { namespace, name = about } = place;
    const key = namespace !== undefined && name ? { namespace, name } : undefined;
    const refusal = this.#refused(kind, key, answer);
    // To ask for a uid is to ask that the resource has it, not to give it one.
    if (key !== undefined && refusal.faults.some(({ path }) => path === 'metadata.uid')) {
      throw conflict(kind, key, 'it is another one now');
    }
    throw refusal;
  }

  #refused(kind: Kind, key: Key | undefined, answer: ApiAnswer): StoreError {
    if (!isNotServed(answer)) return refusedResource(answer, { kind, key }, this.#transport.name);
    this.#discovery.forget(kind);
    return this.#discovery.notServed(kind);
  }

  async *#events<K extends Kind>(
    kind: K,
    { namespace, labelSelector, resourceVersion }: WatchOptions,
    ended: AbortController,
  ): AsyncGenerator<WatchEvent<K>, void> {
    if (this.#isClosing) throw new StoreError('Unavailable', `${this.#transport.name}: is closed`);
    if (!/^\d{1,19}$/.test(resourceVersion)) {
      throw invalid('resourceVersion', 'is not a version that this store gave');
    }
    parseLabelSelector(labelSelector);
    this.#watches.add(ended);
    try {
      const served = await this.#discovery.served(kind, ended.signal);
      const path = (query: Query): string =>
        pathOf(kind, served, { namespace }, { query: { ...query, labelSelector, resourceVersion } });
      yield* watchEvents({
        transport: this.#transport,
        clock: this.#clock,
        path,
        ended,
        decode: (sent) => decodeResource(kind, sent),
        refused: (answer) => this.#refused(kind, undefined, answer),
      });
    } finally {
      this.#watches.delete(ended);
    }
  }
}

/** A resource, or all of a namespace or of every namespace. */
interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

interface ResourceCall {
  readonly method: ApiRequest['method'];
  readonly body?: JsonObject | undefined;
  readonly subresource?: 'status' | undefined;
  readonly query?: Query;
  /** The name of a resource that is to be created. */
  readonly about?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

function writeQuery(dryRun: boolean | undefined): Query {
  return { fieldManager, fieldValidation: 'Ignore', dryRun: dryRun ? 'All' : undefined };
}

/** What may stand in a path without meaning another one. */
const pathSegment = /^[a-zA-Z0-9][-a-zA-Z0-9_.]*$/;

/** Refuses what no API server could have: the path it would make might mean something else. */
function checkPlace(kind: string, { namespace, name }: Place, { subresource }: ResourceCall): void {
  if (!Object.hasOwn(kinds, kind)) throw invalid('kind', `${JSON.stringify(kind)} is not a kind`);
  if (namespace !== undefined && !pathSegment.test(namespace)) {
    throw invalid('metadata.namespace', `${JSON.stringify(namespace)} cannot be a namespace`);
  }
  if (name !== undefined && !pathSegment.test(name)) {
    throw notFound(kind as Kind, { namespace: namespace ?? '', name });
  }
  if (subresource === 'status' && !kinds[kind as Kind].status) {
    throw new StoreError('NotFound', `${kind} has no status subresource; write the resource itself`);
  }
}

function pathOf(
  kind: Kind,
  { root }: ServedKind,
  { namespace, name }: Place,
  { subresource, query = {} }: Pick<ResourceCall, 'subresource' | 'query'>,
): string {
  let path = root;
  if (namespace !== undefined) path += `/namespaces/${namespace}`;
  path += `/${kinds[kind].plural}`;
  if (name !== undefined) path += `/${name}`;
  if (subresource !== undefined) path += `/${subresource}`;
  return withQuery(path, query);
}

function bodyText(kind: Kind, body: JsonObject, served: ServedKind, method: string): string {
  return JSON.stringify(method === 'DELETE' ? body : encodeResource(kind, body, served.apiVersion));
}
