import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { onCompletionFinalizer, runFinalizer, skipCompletionAnnotation } from '../../../src/api/names.ts';
import type { Task } from '../../../src/api/task.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { createJobRunner } from '../../../src/run/job/job-runner.ts';
import { KubernetesJobs } from '../../../src/run/job/kubernetes-jobs.ts';
import { Discovery } from '../../../src/store/kubernetes/discovery.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { ScriptedApiServer } from '../../store/kubernetes/api-server.ts';
import { temporaryStore } from '../../support/temporary-store.ts';
import { until, untilGone } from '../../support/until.ts';
import { startEngine } from '../engine.ts';
import { shellTask } from '../fixtures.ts';

const key = { namespace: 'default', name: 'a' };
let store: ResourceStore;

beforeEach(async () => {
  const temporary = await temporaryStore();
  store = temporary.store;
  onTestFinished(temporary.close);
});

/** An engine that runs Tasks as Jobs, of which there are none, or none to be seen. */
async function startWithoutJobs(mayList: boolean): Promise<void> {
  const api = await new ScriptedApiServer(({ request, response }) => {
    const { searchParams } = new URL(request.url ?? '', 'http://any');
    if (!mayList) return void response.writeHead(403).end('{}');
    // A watch goes on.
    if (searchParams.has('watch')) return void response.writeHead(200).flushHeaders();
    response.writeHead(200).end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
  }).listen();
  onTestFinished(() => api.close());
  const [clock, log, transport] = [systemClock, silentLogger, api.transport()];
  const jobs = new KubernetesJobs({ transport, discovery: new Discovery(transport), clock });
  const engine = startEngine(store, createJobRunner({ api: jobs, store, clock, log }));
  onTestFinished(() => engine.stop());
}

async function createTask(finalizers: string[], phase: string, annotations = {}): Promise<Task> {
  const draft = shellTask(key.name, 'true');
  await store.create<'Task'>({ ...draft, metadata: { ...draft.metadata, finalizers, annotations } });
  const status = {
    phase,
    jobName: 'a',
    ...(phase === 'Running' ? {} : { completionTime: '2026-01-02T03:04:05Z' }),
  };
  return store.patch('Task', key, { status }, { subresource: 'status' });
}

const isFree = ({ metadata }: Task): boolean => metadata.finalizers?.includes(runFinalizer) !== true;

test('a Task that ended under an engine that kept it held is let go by the next one, with one write', async () => {
  const before = await createTask([runFinalizer, 'example.com/other'], 'Succeeded');
  await startWithoutJobs(true);
  const after = await until(store, 'Task', key, isFree);
  expect(after.metadata.finalizers).toEqual(['example.com/other']);
  expect(after.status).toEqual(before.status);
  const versions: string[] = [];
  const { resourceVersion } = await store.delete('Task', key).then(({ metadata }) => metadata);
  for await (const event of store.watch('Task', before.metadata)) {
    if (event.type !== 'BOOKMARK') versions.push(event.resource.metadata.resourceVersion);
    if (versions.at(-1) === resourceVersion) break;
  }
  expect(versions).toEqual([after.metadata.resourceVersion, resourceVersion]);
});

test('a Task with hooks is let go when they are recorded', async () => {
  await createTask([onCompletionFinalizer, runFinalizer], 'Failed');
  await startWithoutJobs(true);
  await store.create<'Task'>(shellTask('other', 'true', { suspend: true }));
  await until(store, 'Task', { ...key, name: 'other' }, ({ status }) => status?.phase === 'Waiting');
  expect(isFree(await store.get('Task', key))).toBe(false);
  await store.patch('Task', key, { metadata: { finalizers: [runFinalizer] } });
  await until(store, 'Task', key, isFree);
});

test('a Task that is deleted and given up goes although nobody can see whether its Job runs', async () => {
  await createTask([runFinalizer], 'Running');
  await store.delete('Task', key);
  await startWithoutJobs(false);
  await store.patch('Task', key, { metadata: { annotations: { [skipCompletionAnnotation]: 'true' } } });
  await untilGone(store, 'Task', key);
});

test('a Task that has ended and is deleted goes with what is left of its Job', async () => {
  await createTask([runFinalizer], 'Succeeded');
  await store.delete('Task', key);
  await startWithoutJobs(true);
  await untilGone(store, 'Task', key);
});

test('a Task is Pending before its Job can be made only where that keeps a branch for it: it is a write more', async () => {
  await startWithoutJobs(true);
  await store.create<'Task'>(shellTask('a', 'true', { branch: 'x' }));
  await until(store, 'Task', key, ({ status }) => status?.phase === 'Pending');
  const other = { ...key, name: 'other' };
  await store.create<'Task'>(shellTask('other', 'true'));
  await until(store, 'Task', other, (task) => !isFree(task));
  await store.create<'Task'>(shellTask('b', 'true', { branch: 'x' }));
  await until(store, 'Task', { ...key, name: 'b' }, ({ status }) => status?.phase === 'Waiting');
  expect((await store.get('Task', other)).status).toBeUndefined();
});
