import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { accessRules } from '../../../src/cli/manifests/access-rules.ts';
import type { ObjectKey } from '../../cluster/kit/cluster-client.ts';
import { controlPlanePrograms } from '../../cluster/kit/control-plane.ts';
import type { KubeObject } from '../../cluster/kit/kube-object.ts';
import { ClusterHouse, type Engine, type TaskObject } from './cluster-house.ts';

const tasks = 'kelos.dev/v1alpha2/tasks';
const jobs = 'batch/v1/jobs';
const runFinalizer = 'telos.dev/run';
const roles = 'rbac.authorization.k8s.io/v1/clusterroles';
const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

describe.skipIf(programs === undefined)('a Task that runs as a Job is let go', () => {
  let house: ClusterHouse;
  let engine: Engine;
  let namespace: string;

  beforeAll(async () => {
    house = await ClusterHouse.open(programs ?? '');
    engine = await house.up();
  }, 120_000);
  afterAll(() => house?.close());
  beforeEach(async () => {
    namespace = await house.admin.createNamespace('letting-go', { serviceAccount: true });
  });
  afterEach(() => house.admin.delete('v1/namespaces', { name: namespace }));

  const key = (name: string): ObjectKey => ({ namespace, name });

  function create(name: string, script: string, spec: object = {}): Promise<TaskObject> {
    return house.admin.create<TaskObject>(tasks, {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { namespace, name },
      spec: { type: 'command', image: 'busybox', command: ['sh', '-c', script], ...spec },
    } as KubeObject);
  }

  const isHeld = ({ metadata }: TaskObject): boolean => metadata.finalizers?.includes(runFinalizer) === true;
  const running = (name: string): Promise<TaskObject> =>
    house.admin.until<TaskObject>(tasks, key(name), ({ status }) => status?.phase === 'Running');
  const endedAndFree = (name: string): Promise<TaskObject> =>
    house.admin.until<TaskObject>(
      tasks,
      key(name),
      (task) => task.status?.completionTime !== undefined && !isHeld(task),
    );

  test('when it has ended, so that it can be deleted when Telos is gone', async () => {
    await create('good', 'true');
    await create('bad', 'exit 3');
    await create('impossible', 'true', { workspaceRef: { name: 'w' } });
    for (const name of ['good', 'bad', 'impossible']) await endedAndFree(name);
    await house.admin.get(jobs, key('good'));
    await engine.stop();
    for (const name of ['good', 'bad', 'impossible']) {
      await house.admin.delete(tasks, key(name));
      await house.admin.untilGone(tasks, key(name));
    }
    engine = await house.up();
  });

  test('by the next engine when the one before was killed between the two writes', async () => {
    await create('late', 'true');
    const { status } = await endedAndFree('late');
    await engine.kill();
    await house.admin.patch(tasks, key('late'), { metadata: { finalizers: [runFinalizer] } });
    engine = await house.up();
    expect((await endedAndFree('late')).status).toEqual(status);
    await house.admin.get(jobs, key('late'));
  });

  test('and found running by the next engine when the one before could not say any more that it runs', async () => {
    const before = await create('found', 'exec sleep 600').then(() => running('found'));
    await engine.kill();
    await house.admin.patch(tasks, key('found'), { status: null }, { subresource: 'status' });
    engine = await house.up();
    expect((await running('found')).status).toEqual(before.status);
    expect((await house.admin.list('v1/pods', { namespace })).items).toHaveLength(1);
    await house.admin.delete(tasks, key('found'));
    await house.admin.untilGone(tasks, key('found'));
  });

  test('and ends as it did when somebody takes its phase back, for its Job is still there', async () => {
    await create('again', 'echo ---KELOS_OUTPUTS_START---; echo a: 1; echo ---KELOS_OUTPUTS_END---');
    const { status } = await endedAndFree('again');
    const nothing = { phase: null, completionTime: null, message: null, outputs: null, results: null };
    await house.admin.patch(tasks, key('again'), { status: nothing }, { subresource: 'status' });
    const after = await endedAndFree('again');
    expect(after.status).toMatchObject({ phase: 'Succeeded', message: status?.message, results: { a: '1' } });
  });

  test('only when nothing of it runs any more, whatever phase somebody writes', async () => {
    await create('busy', 'exec sleep 600');
    await running('busy');
    const byHand = { phase: 'Failed', completionTime: new Date().toISOString() };
    await house.admin.patch(tasks, key('busy'), { status: byHand }, { subresource: 'status' });
    // What came later is done, so the engine has seen this.
    await create('marker', 'true');
    await endedAndFree('marker');
    expect(isHeld(await house.admin.get<TaskObject>(tasks, key('busy')))).toBe(true);
    await house.admin.delete(tasks, key('busy'));
    await house.admin.untilGone(tasks, key('busy'));
    expect(
      (await house.admin.list('v1/pods', { namespace, labelSelector: 'kelos.dev/task=busy' })).items,
    ).toEqual([]);
  });

  test('when its time to live is over at once', async () => {
    await create('short', 'true', { ttlSecondsAfterFinished: 0 });
    await house.admin.untilGone(tasks, key('short'));
  });

  test('although its Job cannot be stopped, when an operator gives it up', async () => {
    await create('stuck', 'exec sleep 600');
    await running('stuck');
    await mayDeleteJobs(false);
    try {
      await house.admin.delete(tasks, key('stuck'));
      await expect.poll(() => engine.log.join('\n'), { timeout: 20_000 }).toMatch(/a Job is deleted later/);
      expect(isHeld(await house.admin.get<TaskObject>(tasks, key('stuck')))).toBe(true);
      const annotations = { 'telos.dev/skip-completion': 'true' };
      await house.admin.patch(tasks, key('stuck'), { metadata: { annotations } });
      await house.admin.untilGone(tasks, key('stuck'));
    } finally {
      await mayDeleteJobs(true);
    }
  });

  /** Takes the right to delete Jobs from Telos, or gives it back. */
  async function mayDeleteJobs(allowed: boolean): Promise<void> {
    const rules = accessRules('standalone').map((rule) =>
      allowed || !rule.resources.includes('jobs')
        ? rule
        : { ...rule, verbs: rule.verbs.filter((verb) => verb !== 'delete') },
    );
    await house.admin.patch(roles, { name: 'telos' }, { rules });
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        user: 'system:serviceaccount:telos-system:telos',
        resourceAttributes: { namespace, verb: 'delete', group: 'batch', resource: 'jobs' },
      },
    };
    const answer = async (): Promise<boolean | undefined> => {
      const asked = 'authorization.k8s.io/v1/subjectaccessreviews';
      const { status } = await house.admin.create<TaskObject & { status?: { allowed?: boolean } }>(
        asked,
        review as unknown as TaskObject,
      );
      return status?.allowed;
    };
    await expect.poll(answer, { timeout: 20_000 }).toBe(allowed);
  }
});
