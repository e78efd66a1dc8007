import { taskUidLabel } from '../../api/names.ts';
import type { JsonObject } from '../../base/json.ts';
import { isStoreError, StoreError } from '../../store/errors.ts';
import { ApiCollection } from '../../store/kubernetes/api-collection.ts';
import type { ApiServer } from '../../store/kubernetes/api-server.ts';
import { readLog } from '../../store/kubernetes/pod-log.ts';
import type { Key } from '../../store/store.ts';
import type { JobCreation, JobsApi } from './jobs-api.ts';
import { newestRefusals } from './pod-refusals.ts';

/** Lines of a log in whose bytes the end is looked for: a line may be long, but it is not all of a run. */
const tailLines = 2000;
/** Events in one page. */
const eventPage = 500;

/** The Jobs of an API server. */
export class KubernetesJobs implements JobsApi {
  readonly jobs: ApiCollection;
  readonly pods: ApiCollection;
  readonly #refusals: ApiCollection;
  readonly #server: ApiServer;

  constructor(server: ApiServer) {
    const labelSelector = taskUidLabel;
    this.#server = server;
    this.jobs = new ApiCollection(server, {
      root: '/apis/batch/v1',
      plural: 'jobs',
      kind: 'Job',
      labelSelector,
    });
    this.pods = new ApiCollection(server, { root: '/api/v1', plural: 'pods', kind: 'Pod', labelSelector });
    this.#refusals = new ApiCollection(server, {
      root: '/api/v1',
      plural: 'events',
      kind: 'Event',
      fieldSelector: 'involvedObject.kind=Job,reason=FailedCreate',
    });
  }

  async taskApiVersion(signal: AbortSignal): Promise<string> {
    return (await this.#server.discovery.served('Task', signal)).apiVersion;
  }

  async create(key: Key, manifest: JsonObject, signal: AbortSignal): Promise<JobCreation> {
    try {
      return { kind: 'made', job: await this.jobs.create(key, manifest, { signal }) };
    } catch (thrown) {
      if (!(thrown instanceof StoreError)) throw thrown;
      const { code, message } = thrown;
      if (code === 'AlreadyExists') return { kind: 'exists' };
      if (code === 'Invalid') return { kind: 'rejected', message };
      if (/exceeded quota/i.test(message)) return { kind: 'heldBack', message };
      throw thrown;
    }
  }

  get(key: Key, signal: AbortSignal): Promise<unknown> {
    return this.jobs.get(key, { signal });
  }

  delete(
    key: Key,
    uid: string,
    propagationPolicy: 'Foreground' | 'Background',
    signal: AbortSignal,
  ): Promise<void> {
    return this.jobs.delete(key, { uid, propagationPolicy }, { signal });
  }

  async podRefusals(namespace: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const events: unknown[] = [];
    let token: string | undefined;
    do {
      const page = await this.#refusals.list({ namespace, limit: eventPage, continue: token, signal });
      events.push(...page.items);
      token = page.continue;
    } while (token !== undefined);
    return newestRefusals(events);
  }

  async logTail(
    pod: Key,
    container: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      return await readLog(this.#server.transport, pod, { container, tailLines, maxBytes, signal });
    } catch (thrown) {
      // No such Pod any more, or no container that has begun.
      if (isStoreError(thrown, 'NotFound') || isStoreError(thrown, 'Invalid')) return undefined;
      throw thrown;
    }
  }
}
