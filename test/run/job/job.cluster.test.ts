import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
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
  void jobs;
  void running;
  void gate;
});
