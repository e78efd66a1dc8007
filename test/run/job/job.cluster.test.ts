import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  onTestFinished,
  test,
} from 'vitest';
import type { ObjectKey } from '../../cluster/kit/cluster-client.ts';
import { controlPlanePrograms } from '../../cluster/kit/control-plane.ts';
import type { KubeObject } from '../../cluster/kit/kube-object.ts';
import { sendEvent } from '../../engine/running-engine.ts';
import { type Receiver, startReceiver } from '../../support/receiver.ts';
import { ClusterHouse, type Engine, type TaskObject } from './cluster-house.ts';

const tasks = 'kelos.dev/v1alpha2/tasks';
const jobs = 'batch/v1/jobs';
const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

describe.skipIf(programs === undefined)('Tasks as Jobs (npm run test:cluster runs this)', () => {
  let house: ClusterHouse;
  let engine: Engine;
  let receiver: Receiver;
  let namespace: string;
  let egress: string[];

  beforeAll(async () => {
    house = await ClusterHouse.open(programs ?? '');
    receiver = await startReceiver();
    const ca = await house.file('ca.pem', receiver.caPem);
    egress = ['--ca-file', ca, '--egress-allow', `127.0.0.1:${receiver.port}`];
    engine = await house.up(...egress);
  }, 120_000);
  afterAll(async () => {
    await house?.close();
    await receiver?.close();
  });
  beforeEach(async () => {
    namespace = await house.admin.createNamespace('jobs', { serviceAccount: true });
  });
  afterEach(() => house.admin.delete('v1/namespaces', { name: namespace }));

  const key = (name: string): ObjectKey => ({ namespace, name });
  const hook = (path: string) => [{ name: 'all', webhook: { url: `${receiver.origin}/${path}` } }];

  /** A Task that runs a shell script, in which `$` stands for itself. */
  async function create(
    name: string,
    script: string,
    spec: object = {},
    annotations = {},
  ): Promise<TaskObject> {
    return house.admin.create<TaskObject>(tasks, {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { namespace, name, annotations },
      spec: { type: 'command', image: 'busybox', command: ['sh', '-c', script], ...spec },
    } as KubeObject);
  }

  const until = (name: string, holds: (status: NonNullable<TaskObject['status']>) => boolean) =>
    house.admin.until<TaskObject>(tasks, key(name), ({ status }) => status !== undefined && holds(status));
  const ended = (name: string) => until(name, ({ completionTime }) => completionTime !== undefined);
  const running = (name: string) => until(name, ({ phase }) => phase === 'Running');

  /** A path that a script waits at until the test opens it. */
  async function gate(): Promise<{ path: string; open: () => Promise<void> }> {
    const path = await house.file(`gate-${namespace}`, '');
    execFileSync('rm', [path]);
    execFileSync('mkfifo', [path]);
    return { path, open: () => writeFile(path, 'go\n') };
  }

  test('an event becomes a Task, a Job, a Pod, and a webhook with its outputs', async () => {
    await house.admin.create('kelos.dev/v1alpha2/taskspawners', {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'TaskSpawner',
      metadata: { namespace, name: 'build' },
      spec: {
        when: { webhook: { source: 'ci', fieldMapping: { id: '$.id', title: '$.title' } } },
        taskTemplate: {
          type: 'command',
          image: 'busybox',
          command: [
            'sh',
            '-c',
            'echo "asked: $TELOS_PROMPT"; echo ---KELOS_OUTPUTS_START---; echo "title: $1"; echo done; echo ---KELOS_OUTPUTS_END---',
            'sh',
            '{{.Title}}',
          ],
        },
        onCompletion: { hooks: hook('story') },
      },
    } as KubeObject);
    await house.admin.until<TaskObject>(
      'kelos.dev/v1alpha2/taskspawners',
      key('build'),
      ({ status }) => status?.phase === 'Running',
    );
    const answer = await sendEvent(engine.url, 'ci', { id: '1', title: 'costs $(HOME) $HOME $$' });
    expect(answer.status).toBe(202);
    const name = answer.body.results?.[0]?.task?.split('/').at(-1) ?? '';
    const { status } = await ended(name);
    expect(status).toMatchObject({
      phase: 'Succeeded',
      jobName: name,
      podName: expect.stringContaining(name),
      message: 'Task completed successfully',
      outputs: ['title: costs $(HOME) $HOME $$', 'done'],
      results: { title: 'costs $(HOME) $HOME $$' },
    });
    await receiver.received(1);
    const [request] = receiver.requests.filter(({ path }) => path === '/story');
    expect(JSON.parse(request?.body.toString() ?? '')).toMatchObject({
      task: name,
      phase: 'Succeeded',
      results: { title: 'costs $(HOME) $HOME $$' },
    });
    expect(engine.log.join('\n')).not.toMatch(/forbidden/i);
  });

  test('a program that fails fails its Task with its status and its last words, and is not tried again', async () => {
    await create('bad', 'echo no such file >&2; exit 3');
    const { status } = await ended('bad');
    expect(status).toMatchObject({
      phase: 'Failed',
      message: 'Task failed: program exited with status 3: no such file',
    });
    const pods = await house.admin.list('v1/pods', { namespace });
    expect(pods.items).toHaveLength(1);
  });

  test('an agent gets its prompt, its variables and its credential, and none of these is told', async () => {
    await house.admin.apply(
      `
apiVersion: v1
kind: Secret
metadata: { name: key }
stringData: { ANTHROPIC_API_KEY: sk-very-secret-value }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: stand-in-files }
data:
  kelos_entrypoint.sh: |
    #!/bin/sh
    echo "using $ANTHROPIC_API_KEY"
    echo ---KELOS_OUTPUTS_START---
    echo "prompt: $1"
    echo "model: $KELOS_MODEL"
    echo "key: $ANTHROPIC_API_KEY"
    echo ---KELOS_OUTPUTS_END---
`,
      namespace,
    );
    await house.admin.create<TaskObject>(tasks, {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { namespace, name: 'agent' },
      spec: {
        prompt: 'say $(ANTHROPIC_API_KEY)',
        worker: {
          type: 'claude-code',
          model: 'opus',
          credentials: { type: 'api-key', secretRef: { name: 'key' } },
        },
      },
    } as KubeObject);
    const { status } = await ended('agent');
    expect(status?.results).toEqual({ prompt: 'say $(ANTHROPIC_API_KEY)', model: 'opus', key: '***' });
    expect(JSON.stringify(status)).not.toContain('very-secret');
  });

  test('is Pending while its Pod waits, with what for, and Running when it runs', async () => {
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'late', key: 'k' } } }];
    const { path, open } = await gate();
    await create('waits', `cat ${path}; echo "$KEY"`, { env });
    const { status } = await until('waits', ({ message = '' }) => message.includes('late'));
    expect(status).toMatchObject({
      phase: 'Pending',
      jobName: 'waits',
      message: expect.stringMatching(
        /^Pod waits-\w+ waits: container kelos-agent cannot be started .*secret "late" not found/,
      ),
    });
    expect(status).not.toHaveProperty('startTime');
    await house.admin.apply(
      'apiVersion: v1\nkind: Secret\nmetadata: {name: late}\nstringData: {k: v}',
      namespace,
    );
    const begun = await running('waits');
    expect(begun.status).toMatchObject({ podName: status?.podName, startTime: expect.anything() });
    expect(begun.status).not.toHaveProperty('message');
    await open();
    expect((await ended('waits')).status).toMatchObject({ phase: 'Succeeded' });
  });

  test('an image that cannot be pulled is told', async () => {
    await create('nowhere', 'true', { image: 'registry.invalid/agent' });
    const { status } = await until('nowhere', ({ message }) => message !== undefined);
    expect(status).toMatchObject({
      phase: 'Pending',
      message: expect.stringMatching(/image "registry\.invalid\/agent" cannot be pulled/),
    });
  });

  test.each([
    [
      'the API server rejects',
      { podOverrides: { resources: { limits: { cpu: 'much' } } } },
      /^Task failed: Job \S+: .*(quantities must match|resources)/,
    ],
    [
      'Telos cannot run yet',
      { workspaceRef: { name: 'w' } },
      /^Task failed: spec\.workspaceRef is not supported/,
    ],
  ])('a Task that %s fails with the reason, and without a Job', async (_what, spec, message) => {
    await create('wrong', 'true', spec, {
      'kelos.dev/on-completion': JSON.stringify(hook(`wrong-${namespace}`)),
    });
    const { status } = await ended('wrong');
    expect(status).toMatchObject({ phase: 'Failed', message: expect.stringMatching(message) });
    expect((await house.admin.list(jobs, { namespace })).items).toEqual([]);
  });

  test('a Task waits for room in a quota, in the words of the API server', async () => {
    await house.admin.apply(
      'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {count/jobs.batch: "0"}}',
      namespace,
    );
    await house.admin.until<KubeObject & { status?: { hard?: object } }>(
      'v1/resourcequotas',
      key('few'),
      ({ status }) => status?.hard !== undefined,
    );
    await create('many', 'true');
    const { status } = await until('many', ({ phase }) => phase === 'Waiting');
    expect(status?.message).toMatch(/^Waiting for room in a quota: .*exceeded quota: few/);
    await house.admin.delete('v1/resourcequotas', key('few'));
    expect((await ended('many')).status?.phase).toBe('Succeeded');
  });

  test('a Task whose Pod cannot be made says why, in the words of the API server', async () => {
    await house.admin.apply(
      `
apiVersion: v1
kind: LimitRange
metadata: { name: small }
spec: { limits: [{ type: Container, max: { cpu: 1 } }] }
---
apiVersion: v1
kind: ResourceQuota
metadata: { name: few }
spec: { hard: { pods: "0" } }
`,
      namespace,
    );
    await house.admin.until<KubeObject & { status?: { hard?: object } }>(
      'v1/resourcequotas',
      key('few'),
      ({ status }) => status?.hard !== undefined,
    );
    const limits = { cpu: '1', memory: '1Mi' };
    await create('many', 'true', { podOverrides: { resources: { limits } } });
    await create('big', 'true', { podOverrides: { resources: { limits: { ...limits, cpu: '2' } } } });
    await create('nobody', 'true', { podOverrides: { serviceAccountName: 'none' } });
    const said = (name: string) => until(name, ({ message = '' }) => message.includes('gets no Pod'));
    const heldUp = async (name: string) => {
      const fieldSelector = `reason=TaskHeldUp,involvedObject.name=${name}`;
      return (await house.admin.list('v1/events', { namespace, fieldSelector })).items;
    };
    expect((await said('big')).status).toMatchObject({
      phase: 'Pending',
      jobName: 'big',
      message:
        'Job big gets no Pod: maximum cpu usage per Container is 1, but limit is 2: mend that, or change spec.podOverrides',
    });
    await expect
      .poll(() => heldUp('big'))
      .toMatchObject([{ type: 'Warning', message: expect.stringMatching(/^Job big gets no Pod: /) }]);
    expect((await said('many')).status?.message).toMatch(/exceeded quota: few, requested: pods=1/);
    expect((await said('nobody')).status?.message).toMatch(/serviceaccount "none" not found/);
  });

  test('a deadline ends it', async () => {
    await create('slow', 'echo begun; sleep 60', { podOverrides: { activeDeadlineSeconds: 2 } });
    expect((await ended('slow')).status).toMatchObject({
      phase: 'Failed',
      message: 'Task failed: program ran longer than its activeDeadlineSeconds and was stopped',
    });
  });

  test('a suspended Task has no Job until it is let go', async () => {
    await create('held', 'true', { suspend: true });
    await until('held', ({ phase }) => phase === 'Waiting');
    expect((await house.admin.list(jobs, { namespace })).items).toEqual([]);
    await house.admin.patch(tasks, key('held'), { spec: { suspend: false } });
    expect((await ended('held')).status?.phase).toBe('Succeeded');
  });

  test('a Task that is deleted ends its Pod and takes its Job along, and its hook is told', async () => {
    const hooks = { 'kelos.dev/on-completion': JSON.stringify(hook(`deleted-${namespace}`)) };
    await create('leaving', 'exec sleep 60', {}, hooks);
    await running('leaving');
    await house.admin.delete(tasks, key('leaving'));
    await house.admin.untilGone(tasks, key('leaving'));
    expect((await house.admin.list(jobs, { namespace })).items).toEqual([]);
    expect((await house.admin.list('v1/pods', { namespace })).items).toEqual([]);
    await expect
      .poll(() => receiver.requests.find(({ path }) => path === `/deleted-${namespace}`)?.body.toString())
      .toMatch(/"phase":"Failed".*Task was deleted while running/);
  });

  test('a Job that somebody deletes fails its Task', async () => {
    await create('robbed', 'exec sleep 60');
    await running('robbed');
    await house.admin.delete(jobs, key('robbed'), { propagationPolicy: 'Background' });
    expect((await ended('robbed')).status).toMatchObject({
      phase: 'Failed',
      message: 'Task failed: its Job "robbed" was deleted; create the Task again to run it',
    });
    expect((await house.admin.list(jobs, { namespace })).items).toEqual([]);
  });

  test('a Task of the same name as one that was deleted is another, and runs anew', async () => {
    await create('again', 'echo ---KELOS_OUTPUTS_START---; echo first; echo ---KELOS_OUTPUTS_END---');
    expect((await ended('again')).status?.outputs).toEqual(['first']);
    await house.admin.delete(tasks, key('again'));
    await house.admin.untilGone(tasks, key('again'));
    await create('again', 'echo ---KELOS_OUTPUTS_START---; echo second; echo ---KELOS_OUTPUTS_END---');
    expect((await ended('again')).status?.outputs).toEqual(['second']);
  });

  test('a namespace that is deleted goes, with the Task that ran in it', async () => {
    const doomed = await house.admin.createNamespace('doomed', { serviceAccount: true });
    await house.admin.create(tasks, {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { namespace: doomed, name: 'last' },
      spec: { type: 'command', image: 'busybox', command: ['sleep', '60'] },
    } as KubeObject);
    const last = { namespace: doomed, name: 'last' };
    await house.admin.until<TaskObject>(tasks, last, ({ status }) => status?.phase === 'Running');
    await house.admin.delete('v1/namespaces', { name: doomed });
    await house.admin.untilGone('v1/namespaces', { name: doomed });
  });

  test('an API server that was away changes nothing', async () => {
    const { path, open } = await gate();
    await create(
      'patient',
      `cat ${path}; echo ---KELOS_OUTPUTS_START---; echo a: 1; echo ---KELOS_OUTPUTS_END---`,
    );
    await running('patient');
    await house.plane.killApiServer();
    await open();
    await house.plane.startApiServer();
    // It is up before it serves what CRDs define.
    await expect
      .poll(() => house.admin.list(tasks, { namespace }).catch(() => undefined), { timeout: 30_000 })
      .toBeDefined();
    expect((await ended('patient')).status).toMatchObject({ phase: 'Succeeded', results: { a: '1' } });
  });

  test('a Job of the same name that is not its own is left alone', async () => {
    const template = {
      spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i', command: ['true'] }] },
    };
    await house.admin.create(jobs, {
      metadata: { namespace, name: 'taken' },
      spec: { template },
    } as KubeObject);
    await create('taken', 'true');
    expect((await ended('taken')).status).toMatchObject({
      phase: 'Failed',
      message:
        'Task failed: there is a Job "taken" that Telos has not made: delete it, or give the Task another name',
    });
    await house.admin.get(jobs, key('taken'));
  });

  test('an engine that is killed leaves it running, and the next one takes it up; what has ended stays so', async () => {
    const { path, open } = await gate();
    await create('over', 'true');
    await create('robbed', `cat ${path}-never`, {
      podOverrides: { activeDeadlineSeconds: 600 },
      image: 'registry.invalid/i',
    });
    await create(
      'survivor',
      `cat ${path}; echo ---KELOS_OUTPUTS_START---; echo a: 1; echo ---KELOS_OUTPUTS_END---`,
    );
    const before = await running('survivor');
    await until('robbed', ({ jobName }) => jobName !== undefined);
    const over = await ended('over');
    await engine.kill();
    await house.admin.delete(jobs, key('over'), { propagationPolicy: 'Background' });
    await house.admin.delete(jobs, key('robbed'), { propagationPolicy: 'Background' });
    await open();
    await house.admin.until<KubeObject & { status?: { succeeded?: number } }>(
      jobs,
      key('survivor'),
      ({ status }) => status?.succeeded === 1,
    );
    engine = await house.up(...egress);
    const { status } = await ended('survivor');
    expect(status).toMatchObject({
      phase: 'Succeeded',
      outputs: ['a: 1'],
      startTime: before.status?.startTime,
      podName: before.status?.podName,
    });
    expect((await ended('robbed')).status?.message).toMatch(/^Task failed: its Job "robbed" is gone/);
    // A Task made after the engine is back is done after all that it found.
    await create('after', 'true');
    await ended('after');
    expect((await house.admin.get<TaskObject>(tasks, key('over'))).status).toEqual(over.status);
    const names = (await house.admin.list(jobs, { namespace })).items.map(({ metadata }) => metadata.name);
    expect(names.sort()).toEqual(['after', 'survivor']);
  });

  test('does not start beside the controller of Kelos, and says the way out', async () => {
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace: 'kelos-system', name: 'kelos-controller-leader-election' },
      spec: {
        holderIdentity: 'kelos-controller-manager-1',
        leaseDurationSeconds: 15,
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    };
    await house.admin.applyObject(lease as KubeObject);
    await expect(house.up(...egress)).rejects.toThrow(
      /^error: Kelos's controller \(kelos-controller-manager-1\) runs the Tasks of this cluster: Lease .*: start Telos with --report only, or scale/,
    );
    const long = new Date(Date.now() - 60_000).toISOString().replace('Z', '000Z');
    await house.admin.applyObject({ ...lease, spec: { ...lease.spec, renewTime: long } } as KubeObject);
    const second = await house.up(...egress);
    await second.stop();
  });

  test('ends when the controller of Kelos begins, whatever its clock says', async () => {
    const engine = await house.up(...egress);
    let renewedMs = Date.now() - 3 * 3_600_000;
    const renew = (): Promise<unknown> => {
      renewedMs += 1000;
      const renewTime = new Date(renewedMs).toISOString().replace('Z', '000Z');
      return house.admin.applyObject({
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace: 'kelos-system', name: 'kelos-controller-leader-election' },
        spec: { holderIdentity: 'kelos-controller-manager-2', leaseDurationSeconds: 15, renewTime },
      } as KubeObject);
    };
    const renewing = setInterval(() => void renew(), 1000);
    onTestFinished(() => clearInterval(renewing));
    expect(await engine.ended).toBe(1);
    expect(engine.log.join('\n')).toMatch(
      /error: Kelos's controller \(kelos-controller-manager-2\) runs the Tasks of this cluster: Lease /,
    );
  });
});
