import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Dispatcher } from 'undici';
import { onCompletionFinalizer, reportedPhaseAnnotation } from '../src/api/names.ts';
import type { Task } from '../src/api/task.ts';
import { renderJson } from '../src/report/formats/json.ts';
import { parseHooks } from '../src/report/hooks-annotation.ts';
import { payloadOf } from '../src/report/payload.ts';
import type { BenchCluster } from './cluster.ts';
import type { Receivers } from './stand.ts';

/** Queries a second, and how many may come at once after a rest, as clients of Kubernetes in Go ship. */
const throttle = { perSecond: 20, burst: 30 };

/**
 * The simplest reporter there can be: it lists all Tasks, then one after another reads the Secret of each that has
 * ended, POSTs, reads the Task again, and marks it. It keeps no record: what was under way when it dies is lost or told
 * twice. Tells `count` of the namespace's Tasks; returns completions a second.
 */
export async function serialRate(
  cluster: BenchCluster,
  receivers: Receivers,
  namespace: string,
  count: number,
  isThrottled: boolean,
): Promise<number> {
  const { server, ca, token } = cluster.connection;
  const api = new Client(server, { connect: { ca: ca ?? '' } });
  const senders = new Map<string, Client>();
  const began = performance.now();
  let queries = 0;
  const query = async (method: 'GET' | 'PATCH', path: string, body?: object): Promise<unknown> => {
    queries += 1;
    const dueMs = isThrottled ? ((queries - throttle.burst) / throttle.perSecond) * 1000 : 0;
    const waitMs = began + dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' };
    const answer = await api.request({ method, path, headers, ...(body && { body: JSON.stringify(body) }) });
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${await answer.body.text()}`);
    return answer.body.json();
  };
  const post = async (url: URL, body: string): Promise<void> => {
    let sender = senders.get(url.origin);
    if (sender === undefined) {
      sender = new Client(url.origin, { connect: { ca: receivers.caPem } });
      senders.set(url.origin, sender);
    }
    const headers = { 'content-type': 'application/json' };
    const request: Dispatcher.RequestOptions = { method: 'POST', path: url.pathname, headers, body };
    await (await sender.request(request)).body.dump();
  };

  const tasks = `/apis/kelos.dev/v1alpha2/namespaces/${namespace}/tasks`;
  const { items } = (await query('GET', tasks)) as { items: Task[] };
  let told = 0;
  for (const task of items) {
    if (told === count) break;
    const { annotations = {}, name } = task.metadata;
    if (task.status?.phase !== 'Succeeded' || reportedPhaseAnnotation in annotations) continue;
    const [hook] = parseHooks(annotations['kelos.dev/on-completion'] ?? '').hooks;
    const { url, secretRef } = hook?.webhook ?? {};
    await query('GET', `/api/v1/namespaces/${namespace}/secrets/${secretRef?.name}`);
    await post(new URL(url ?? ''), renderJson(payloadOf(task, 'Succeeded')));
    const { metadata } = (await query('GET', `${tasks}/${name}`)) as Task;
    await query('PATCH', `${tasks}/${name}`, {
      metadata: {
        annotations: { [reportedPhaseAnnotation]: 'Succeeded' },
        finalizers: metadata.finalizers?.filter((finalizer) => finalizer !== onCompletionFinalizer),
      },
    });
    told += 1;
  }
  const rate = told / ((performance.now() - began) / 1000);
  await Promise.all([api, ...senders.values()].map((client) => client.close()));
  if (told < count) throw new Error(`${told} of ${count} Tasks were there to be told`);
  return rate;
}
