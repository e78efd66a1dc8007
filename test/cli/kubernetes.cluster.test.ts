import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import { ClusterClient } from '../cluster/kit/cluster-client.ts';
import type { KubeObject } from '../cluster/kit/kube-object.ts';
import { installDefinitions } from '../store/kubernetes/cluster-store.ts';
import { type TelosOptions, telos } from '../support/telos-program.ts';

describeOnCluster('the commands on a Kubernetes cluster', () => {
  let admin: ClusterClient;
  let namespace: string;
  const run = (
    args: string[],
    stdin = '',
    options: Pick<TelosOptions, 'onOutput' | 'onNote'> = {},
  ): ReturnType<typeof telos> =>
    telos([...args, '--store', 'kubernetes', '-n', namespace], {
      stdin,
      env: { KUBECONFIG: sharedCluster().kubeconfig },
      ...options,
    });

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
  });
  afterAll(() => admin.close());
  beforeEach(async () => {
    namespace = await admin.createNamespace('cli', { serviceAccount: sharedCluster().controllers });
  });
  afterEach(() => admin.delete('v1/namespaces', { name: namespace }));

  test('apply, get, describe and delete what kubectl sees, too', async () => {
    const manifest = [
      'apiVersion: kelos.dev/v1alpha1',
      'kind: Task',
      'metadata: {name: a}',
      'spec: {type: command, command: ["true"]}',
    ].join('\n');
    expect(await run(['apply', '-f', '-'], manifest)).toMatchObject({
      stdout: 'task/a created\n',
      exitCode: 0,
    });
    expect((await run(['apply', '-f', '-'], manifest)).stdout).toBe('task/a unchanged\n');
    const collection = 'kelos.dev/v1alpha2/tasks';
    await admin.patchStatus(collection, { namespace, name: 'a' }, { phase: 'Running' });
    expect((await run(['get', 'tasks'])).stdout).toMatch(/^a +command +Running/m);
    expect((await run(['describe', 'task', 'a'])).stdout).toMatch(/^Phase: +Running$/m);
    expect((await run(['delete', 'task', 'a'])).exitCode).toBe(0);
    expect((await admin.list(collection, { namespace })).items).toEqual([]);
  });

  describe('logs', () => {
    const collection = 'kelos.dev/v1alpha2/tasks';
    const says = (status: object): Promise<unknown> =>
      admin.patchStatus(collection, { namespace, name: 'a' }, status);
    /** A Pod as that of a Task's Job, with such a script. */
    const pod = (name: string, script: string, image = 'busybox'): Promise<unknown> =>
      admin.create('v1/pods', {
        metadata: { namespace, name },
        spec: {
          restartPolicy: 'Never',
          containers: [{ name: 'kelos-agent', image, command: ['sh', '-c', script] }],
        },
      } as KubeObject);
    const phase = (name: string, is: string): Promise<unknown> =>
      admin.until<KubeObject & { status?: { phase?: string } }>(
        'v1/pods',
        { namespace, name },
        ({ status }) => status?.phase === is,
      );

    beforeEach(async () => {
      const task = { apiVersion: 'kelos.dev/v1alpha2', kind: 'Task', metadata: { namespace, name: 'a' } };
      await admin.create(collection, { ...task, spec: { type: 'command', command: ['true'] } } as KubeObject);
    });

    test('shows what the Pod of a Task printed, whoever ran it', async (context) => {
      if (!sharedCluster().standIn) context.skip();
      await pod('p', "printf 'one\\n\\033[31mtwo\\n'");
      await phase('p', 'Succeeded');
      await says({ phase: 'Succeeded', podName: 'p' });
      expect(await run(['logs', 'task/a'])).toEqual({
        exitCode: 0,
        stdout: 'one\n\u001b[31mtwo\n',
        stderr: '',
      });
    });

    test('follows one Pod after another, and says what it waits for', async (context) => {
      if (!sharedCluster().standIn) context.skip();
      const folder = await mkdtemp(join(tmpdir(), 'telos-logs-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      const gate = join(folder, 'gate');
      execFileSync('mkfifo', [gate]);
      await pod('never', 'true', 'registry.invalid/i');
      await says({ phase: 'Pending', podName: 'never', message: 'its image cannot be pulled' });
      const once = new Set<string>();
      const first = (key: string, then: () => Promise<unknown>): void => {
        if (once.has(key)) return;
        once.add(key);
        void then();
      };
      const followed = await run(['logs', 'a', '-f'], '', {
        onNote: () =>
          first('note', async () => {
            await pod('one', `echo one; cat ${gate}; exit 1`);
            await phase('one', 'Running');
            await says({ phase: 'Running', podName: 'one', message: null });
          }),
        onOutput: (output) => {
          // It is seen before its program has ended.
          if (output === 'one\n') first('one', () => writeFile(gate, 'two\n'));
          if (output === 'one\ntwo\n')
            first('two', async () => {
              await pod('three', 'echo three');
              await phase('three', 'Succeeded');
              await says({ phase: 'Succeeded', podName: 'three' });
            });
        },
      });
      expect(followed).toEqual({
        exitCode: 0,
        stdout: 'one\ntwo\nthree\n',
        stderr: 'task/a waits: its image cannot be pulled\n',
      });
    });

    test('says so when there is none, or none any more', async () => {
      expect((await run(['logs', 'a'])).stderr).toBe(
        'error: there is no log: task/a (Pending): wait for it with -f\n',
      );
      await says({ phase: 'Failed', podName: 'gone' });
      expect((await run(['logs', 'a', '-f'])).stderr).toBe(
        'error: there is no log: task/a (Failed): its Pod gone is gone, or never began: see telos describe task/a\n',
      );
    });
  });
});
