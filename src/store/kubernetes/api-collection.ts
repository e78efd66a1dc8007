import type { JsonObject } from '../../base/json.ts';
import { isStoreError, type StoreError } from '../errors.ts';
import type { ListWatch } from '../reflector.ts';
import type { CallOptions, Change, Key } from '../store.ts';
import type { ApiServer } from './api-server.ts';
import { PageSizes } from './page-sizes.ts';
import { type Query, withQuery } from './query.ts';
import { objectOf, refusedResource } from './status-errors.ts';
import type { ApiAnswer, ApiRequest } from './transport.ts';
import { endableWatch, watchEvents } from './watch-events.ts';
import { type ApiObject, decodeObject, decodePage } from './wire.ts';

export interface CollectionOptions {
  /** Where it is: `/apis/batch/v1`. */
  readonly root: string;
  /** `jobs`. */
  readonly plural: string;
  /** `Job`. */
  readonly kind: string;
  /** What is listed and watched; absent: whatever the labels. */
  readonly labelSelector?: string | undefined;
  /** Also; absent: whatever the fields. */
  readonly fieldSelector?: string | undefined;
}

/**
 * Objects of the API server that are none of our kinds, such as Jobs and Pods: to be followed by an informer, made and
 * deleted. Whoever reads more of them than their metadata checks what it reads.
 *
 * Errors are StoreError, as a store's are.
 */
export class ApiCollection implements ListWatch<ApiObject> {
  readonly #server: ApiServer;
  readonly #options: CollectionOptions;
  readonly #pageSizes = new PageSizes();

  constructor(server: ApiServer, options: CollectionOptions) {
    this.#server = server;
    this.#options = options;
  }

  get name(): string {
    return this.#options.kind;
  }

  async list({
    namespace,
    limit,
    continue: token,
    signal,
  }: Parameters<ListWatch<ApiObject>['list']>[0]): Promise<{
    readonly items: readonly ApiObject[];
    readonly resourceVersion: string;
    readonly continue?: string;
  }> {
    const { kind, labelSelector, fieldSelector } = this.#options;
    const query = {
      labelSelector,
      fieldSelector,
      limit: String(this.#pageSizes.limit(kind, limit)),
      continue: token,
    };
    const path = this.#path(namespace, undefined, query);
    const answer = await this.#ask({ method: 'GET', path, signal }, undefined);
    const page = decodePage(answer, (item) => decodeObject(kind, item), this.#server.transport.name);
    this.#pageSizes.learn(kind, answer.body.length, page.items.length);
    return page;
  }

  watch(options: Parameters<ListWatch<ApiObject>['watch']>[0]): AsyncIterable<Change<ApiObject>> {
    const { transport, clock } = this.#server;
    const { kind, labelSelector, fieldSelector } = this.#options;
    const { namespace, resourceVersion, signal } = options;
    return endableWatch(signal, (ended) =>
      watchEvents({
        transport,
        clock,
        path: (query) =>
          this.#path(namespace, undefined, { ...query, labelSelector, fieldSelector, resourceVersion }),
        ended,
        decode: (sent) => decodeObject(kind, sent),
        refused: (answer) => this.#refused(answer, undefined),
      }),
    );
  }

  /** Undefined when there is none of that name. */
  async get(key: Key, { signal }: CallOptions = {}): Promise<ApiObject | undefined> {
    try {
      return await this.#one({ method: 'GET', path: this.#path(key.namespace, key.name), signal }, key);
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    }
  }

  /** Makes an object of this key; what is in `object` besides is the API server's to judge. */
  create(key: Key, object: JsonObject, { signal }: CallOptions = {}): Promise<ApiObject> {
    const path = this.#path(key.namespace, undefined, { fieldManager: 'telos' });
    return this.#one({ method: 'POST', path, body: JSON.stringify(object), signal }, key);
  }

  /** Replaces the object of this key; `metadata.resourceVersion` in it is a precondition. */
  replace(key: Key, object: JsonObject, { signal }: CallOptions = {}): Promise<ApiObject> {
    const path = this.#path(key.namespace, key.name, { fieldManager: 'telos' });
    return this.#one({ method: 'PUT', path, body: JSON.stringify(object), signal }, key);
  }

  /** Merges into the object of this key; `metadata.resourceVersion` in the patch is a precondition. */
  patch(key: Key, patch: JsonObject, { signal }: CallOptions = {}): Promise<ApiObject> {
    const path = this.#path(key.namespace, key.name, { fieldManager: 'telos' });
    const contentType = 'application/merge-patch+json';
    return this.#one({ method: 'PATCH', path, body: JSON.stringify(patch), contentType, signal }, key);
  }

  /**
   * Deletes the object of this uid; one that is gone, or is another by now, is fine. `propagationPolicy`: whether what
   * it owns goes before it (`Foreground`) or after it.
   */
  async delete(
    key: Key,
    {
      uid,
      propagationPolicy,
    }: { readonly uid: string; readonly propagationPolicy: 'Foreground' | 'Background' },
    { signal }: CallOptions = {},
  ): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions: { uid } };
    const path = this.#path(key.namespace, key.name);
    try {
      await this.#ask({ method: 'DELETE', path, body: JSON.stringify(body), signal }, key);
    } catch (thrown) {
      if (!isStoreError(thrown, 'NotFound') && !isStoreError(thrown, 'Conflict')) throw thrown;
    }
  }

  async #one(request: ApiRequest, key: Key): Promise<ApiObject> {
    const answer = await this.#ask(request, key);
    return decodeObject(this.#options.kind, objectOf(answer, this.#server.transport.name));
  }

  async #ask(request: ApiRequest, key: Key | undefined): Promise<ApiAnswer> {
    const answer = await this.#server.transport.send(request);
    if (answer.status < 300) return answer;
    throw this.#refused(answer, key);
  }

  #refused(answer: ApiAnswer, key: Key | undefined): StoreError {
    return refusedResource(answer, { kind: this.#options.kind, key }, this.#server.transport.name);
  }

  #path(namespace: string | undefined, name?: string, query: Query = {}): string {
    const { root, plural } = this.#options;
    const place = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
    const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
    return withQuery(`${root}${place}/${plural}${object}`, query);
  }
}
