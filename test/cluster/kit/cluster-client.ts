import { setTimeout as delay } from 'node:timers/promises';
import { Agent, type Dispatcher } from 'undici';
import { parseAllDocuments } from 'yaml';
import type { AnyObject, KubeObject, WatchEvent } from './kube-object.ts';
import { type Connection, readKubeconfig } from './kubeconfig.ts';

/** Tries of a request that meets an API server which is busy, or starting; and milliseconds between them. */
const maxTries = 20;
const busyPauseMs = 250;

/** The API server said no. */
export class ClusterError extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** The API's own word for it, such as `NotFound`. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ClusterError';
    this.status = status;
    this.reason = reason;
  }
}

/** Where an object is; without a namespace for kinds that have none. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}

export type PatchType = 'merge' | 'strategic' | 'apply' | 'json';

const patchContentTypes: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
  json: 'application/json-patch+json',
};

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

interface RequestOptions {
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

interface List<T> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly T[];
}

/**
 * What the tests do to a cluster. It is not the client under test: it knows no caches, and
 * tries again only what an API server refuses for being busy.
 *
 * A collection is written as the API has it: `v1/pods`, `batch/v1/jobs`, `kelos.dev/v1alpha2/tasks`.
 */
export class ClusterClient {
  readonly connection: Connection;
  readonly #agent: Agent;

  constructor(connection: Connection) {
    this.connection = connection;
    const { ca, cert, key } = connection;
    this.#agent = new Agent({
      connections: 64,
      bodyTimeout: 0,
      connect: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    });
  }

  /** @throws when the file holds no connection. */
  static fromKubeconfig(file: string): ClusterClient {
    return new ClusterClient(readKubeconfig(file));
  }

  /** The same API server, as somebody else. */
  as(token: string): ClusterClient {
    const { server, ca } = this.connection;
    return new ClusterClient({ server, token, ...(ca && { ca }) });
  }

  /** Breaks off whatever is under way. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  get<T extends KubeObject = AnyObject>(collection: string, key: ObjectKey): Promise<T> {
    return this.#json('GET', path(collection, key));
  }

  async list<T extends KubeObject = AnyObject>(
    collection: string,
    options: { readonly namespace?: string } & Query = {},
  ): Promise<List<T>> {
    const { namespace, ...query } = options;
    return this.#json('GET', path(collection, { ...(namespace && { namespace }) }), { query });
  }

  create<T extends KubeObject = AnyObject>(collection: string, object: KubeObject): Promise<T> {
    const { namespace } = object.metadata;
    return this.#json('POST', path(collection, { ...(namespace && { namespace }) }), { body: object });
  }

  update<T extends KubeObject = AnyObject>(collection: string, object: KubeObject): Promise<T> {
    return this.#json('PUT', path(collection, object.metadata), { body: object });
  }

  patch<T extends KubeObject = AnyObject>(
    collection: string,
    key: ObjectKey,
    patch: unknown,
    options: { readonly type?: PatchType; readonly subresource?: string; readonly query?: Query } = {},
  ): Promise<T> {
    const { type = 'merge', subresource, query } = options;
    return this.#json('PATCH', path(collection, key, subresource), {
      body: patch,
      contentType: patchContentTypes[type],
      ...(query && { query }),
    });
  }

  /** Merges `status` into the object's own, through the status subresource. */
  patchStatus<T extends KubeObject = AnyObject>(
    collection: string,
    key: ObjectKey,
    status: unknown,
  ): Promise<T> {
    return this.patch(collection, key, { status }, { subresource: 'status' });
  }

  async delete(collection: string, key: ObjectKey, options: object = {}): Promise<void> {
    await this.#json('DELETE', path(collection, key), { body: options });
  }

  /** Applies every document of a YAML text (server-side), those without a namespace of their own in `namespace`. */
  async apply(yaml: string, namespace?: string): Promise<AnyObject[]> {
    const applied: AnyObject[] = [];
    for (const document of parseAllDocuments(yaml)) {
      const object = document.toJS() as AnyObject | null;
      if (object !== null) applied.push(await this.applyObject(object, namespace));
    }
    return applied;
  }

  /** Applies one object (server-side). */
  async applyObject(object: KubeObject, namespace?: string): Promise<AnyObject> {
    const { apiVersion = '', kind = '' } = object;
    const { collection, namespaced } = await this.#find(apiVersion, kind);
    const { name } = object.metadata;
    const place = namespaced ? (object.metadata.namespace ?? namespace ?? 'default') : undefined;
    return this.patch(collection, { name, ...(place && { namespace: place }) }, object, {
      type: 'apply',
      query: { fieldManager: 'test', force: true },
    });
  }

  /** Follows a collection; ends when the server ends it, throws when the connection breaks. */
  async *watch<T extends KubeObject = AnyObject>(
    collection: string,
    options: { readonly namespace?: string; readonly signal?: AbortSignal; readonly query?: Query } = {},
  ): AsyncGenerator<WatchEvent<T>, void> {
    const { namespace, signal, query } = options;
    const response = await this.#send('GET', path(collection, { ...(namespace && { namespace }) }), {
      query: { ...query, watch: true },
      ...(signal && { signal }),
    });
    let rest = '';
    for await (const chunk of textOf(response)) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = JSON.parse(line) as WatchEvent<T> | { type: 'ERROR'; object: Status };
        if (event.type === 'ERROR') throw statusError(event.object);
        yield event;
      }
    }
  }

  /** Resolves with the object as soon as it exists and satisfies the condition. The test's timeout is the limit. */
  async until<T extends KubeObject = AnyObject>(
    collection: string,
    key: ObjectKey,
    condition: (object: T) => boolean = () => true,
  ): Promise<T> {
    for await (const object of this.#versions<T>(collection, key)) {
      if (object !== undefined && condition(object)) return object;
    }
    throw new Error(`the watch of ${collection} ended before ${key.name} was as wanted`);
  }

  /** Resolves when the object is not there. */
  async untilGone(collection: string, key: ObjectKey): Promise<void> {
    for await (const object of this.#versions(collection, key)) if (object === undefined) return;
    throw new Error(`the watch of ${collection} ended before ${key.name} was gone`);
  }

  /** What a Pod's container has written, as `kubectl logs` gets it. */
  async log(key: ObjectKey, query: Query = {}): Promise<string> {
    let text = '';
    for await (const chunk of this.followLog(key, query)) text += chunk;
    return text;
  }

  /** The same piece by piece, as it comes; with `follow: true` until the container ends. */
  async *followLog(key: ObjectKey, query: Query = {}, signal?: AbortSignal): AsyncGenerator<string, void> {
    const options = { query, ...(signal && { signal }) };
    const response = await this.#send('GET', path('v1/pods', key, 'log'), options);
    yield* textOf(response);
  }

  /** A namespace of the test's own, ready for Pods. */
  async createNamespace(prefix: string, options: { readonly serviceAccount: boolean }): Promise<string> {
    const namespace = await this.create<KubeObject>('v1/namespaces', {
      metadata: { generateName: `${prefix}-` } as unknown as KubeObject['metadata'],
    });
    const { name } = namespace.metadata;
    // Until a controller has made it, Pods are refused.
    if (options.serviceAccount) await this.until('v1/serviceaccounts', { namespace: name, name: 'default' });
    return name;
  }

  /** A fresh token of a ServiceAccount, which is made when it is not there. */
  async serviceAccountToken(namespace: string, name: string): Promise<string> {
    await this.applyObject({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
    const { status } = await this.#json<{ status: { token: string } }>(
      'POST',
      path('v1/serviceaccounts', { namespace, name }, 'token'),
      {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { expirationSeconds: 3600 },
        },
      },
    );
    return status.token;
  }

  /** Any path of the API server's, such as `/version`. */
  async raw(rawPath: string, signal?: AbortSignal): Promise<string> {
    const response = await this.#send('GET', rawPath, { ...(signal && { signal }) });
    return response.body.text();
  }

  async *#versions<T extends KubeObject>(
    collection: string,
    { namespace, name }: ObjectKey,
  ): AsyncGenerator<T | undefined, void> {
    const query = { fieldSelector: `metadata.name=${name}` };
    const { items, metadata } = await this.list<T>(collection, { ...(namespace && { namespace }), ...query });
    yield items[0];
    const options = {
      ...(namespace && { namespace }),
      query: { ...query, resourceVersion: metadata.resourceVersion },
    };
    for await (const event of this.watch<T>(collection, options)) {
      if (event.type !== 'BOOKMARK') yield event.type === 'DELETED' ? undefined : event.object;
    }
  }

  async #find(apiVersion: string, kind: string): Promise<{ collection: string; namespaced: boolean }> {
    const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { resources } = await this.#json<{
      resources: readonly { name: string; kind: string; namespaced: boolean }[];
    }>('GET', group);
    const resource = resources.find((candidate) => candidate.kind === kind && !candidate.name.includes('/'));
    if (resource === undefined) throw new Error(`the cluster has no ${kind} in ${apiVersion}`);
    return { collection: `${apiVersion}/${resource.name}`, namespaced: resource.namespaced };
  }

  async #json<T>(method: Dispatcher.HttpMethod, target: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.#send(method, target, options);
    return (await response.body.json()) as T;
  }

  async #send(
    method: Dispatcher.HttpMethod,
    target: string,
    options: RequestOptions,
  ): Promise<Dispatcher.ResponseData> {
    const { query = {}, body, contentType = 'application/json', signal } = options;
    const { server, token } = this.connection;
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(name, String(value));
    }
    const search = parameters.toString();
    const request = {
      origin: server,
      path: search === '' ? target : `${target}?${search}`,
      method,
      headers: {
        accept: 'application/json, */*',
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': contentType }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    };
    for (let tries = 1; ; tries += 1) {
      const response = await this.#agent.request(request);
      if (response.statusCode < 300) return response;
      const text = await response.body.text();
      // Too busy, or its storage is not ready yet: nothing was done.
      if (response.statusCode !== 429 || tries === maxTries) throw answerError(response.statusCode, text);
      await delay(busyPauseMs, undefined, { ...(signal && { signal }) });
    }
  }
}

interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

function path(collection: string, key: Partial<ObjectKey>, subresource?: string): string {
  const parts = collection.split('/');
  const plural = parts.pop();
  const root = parts.length === 1 ? '/api' : '/apis';
  const namespace = key.namespace === undefined ? '' : `/namespaces/${key.namespace}`;
  const name = key.name === undefined ? '' : `/${key.name}`;
  return `${root}/${parts.join('/')}${namespace}/${plural}${name}${subresource === undefined ? '' : `/${subresource}`}`;
}

async function* textOf({ body }: Dispatcher.ResponseData): AsyncGenerator<string, void> {
  // Whoever stops reading breaks the answer off, which it then calls an error that nobody waits for.
  body.on('error', () => {});
  const decoder = new TextDecoder();
  for await (const chunk of body) yield decoder.decode(chunk as Buffer, { stream: true });
}

function answerError(status: number, text: string): ClusterError {
  try {
    return statusError({ code: status, ...(JSON.parse(text) as Status) });
  } catch {
    return new ClusterError(status, 'Unknown', text.trim());
  }
}

function statusError({ code = 0, reason = 'Unknown', message = '' }: Status): ClusterError {
  return new ClusterError(code, reason, message);
}
