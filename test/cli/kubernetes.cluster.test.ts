import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import { ClusterClient } from '../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import type { KubeObject } from '../cluster/kit/kube-object.ts';
import { readKubeconfig } from '../cluster/kit/kubeconfig.ts';
import { tokenAs } from '../cluster/kit/roles.ts';
import { kubeconfigAs } from '../store/kubernetes/cluster-store.ts';
import { startCuttingProxy } from '../store/kubernetes/cutting-proxy.ts';
import { type TelosOptions, telos } from '../support/telos-program.ts';

describeOnCluster('the commands on a Kubernetes cluster', () => {
  let admin: ClusterClient;
  let namespace: string;
  let token: string;
  let operator: Awaited<ReturnType<typeof kubeconfigAs>>;
  const run = (
    args: string[],
    stdin = '',
    options: Pick<TelosOptions, 'onOutput' | 'onNote'> = {},
  ): ReturnType<typeof telos> =>
    telos([...args, '--store', 'kubernetes', '-n', namespace], {
      stdin,
      env: { KUBECONFIG: operator.file },
      ...options,
    });

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
  });
  afterAll(() => admin.close());
  beforeEach(async () => {
    namespace = await admin.createNamespace('cli', { serviceAccount: sharedCluster().controllers });
    token = await tokenAs(admin, 'operator', namespace);
    operator = await kubeconfigAs(sharedCluster().kubeconfig, { token });
  });
  afterEach(async () => {
    await operator.remove();
    await admin.delete('v1/namespaces', { name: namespace });
  });

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

  test('doctor says which kinds can be seen, and nothing of programs, which are in images', async () => {
    const { stdout } = await run(['doctor']);
    expect(stdout).toMatch(/^ok +store: kubernetes$/m);
    expect(stdout).toContain(`ok    deliveries.telos.dev: seen in namespace ${namespace}\n`);
    expect(stdout).not.toContain('claude');
    const nobody = await admin.apply(
      'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: nobody}',
      namespace,
    );
    expect(nobody).toHaveLength(1);
    const unknown = await admin.serviceAccountToken(namespace, 'nobody');
    const { file, remove } = await kubeconfigAs(sharedCluster().kubeconfig, { token: unknown });
    onTestFinished(remove);
    const args = ['doctor', '--store', 'kubernetes', '-n', namespace];
    const refused = await telos(args, { env: { KUBECONFIG: file } });
    expect(refused.exitCode).toBe(1);
    expect(refused.stdout).toMatch(
      /^fail +tasks\.kelos\.dev: .*403 Forbidden .*cannot list resource.*: grant it with a Role and a RoleBinding$/m,
    );
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

    test('says what there is instead of a log: no Pod, one that has not begun, one that is gone', async () => {
      const said = async (...flags: string[]): Promise<string> => (await run(['logs', 'a', ...flags])).stderr;
      expect(await said()).toBe(
        'error: there is no Pod yet, and so no log: task/a (Pending): wait for it with -f\n',
      );
      const spec = {
        nodeSelector: { none: 'such' },
        containers: [{ name: 'kelos-agent', image: 'busybox' }],
      };
      await admin.create('v1/pods', { metadata: { namespace, name: 'p' }, spec } as KubeObject);
      await says({ phase: 'Pending', podName: 'p' });
      expect(await said()).toBe(
        'error: Pod p has printed nothing (it has no node yet): task/a (Pending): wait for it with -f\n',
      );
      await says({ phase: 'Failed', podName: 'gone' });
      for (const flags of [[], ['-f']])
        expect(await said(...flags)).toBe(
          'error: Pod gone is gone, and its log with it: task/a (Failed): look where the logs of the cluster are collected\n',
        );
    });

    test('follows past connections that break and streams that end early, each byte once', async (context) => {
      if (!sharedCluster().standIn) context.skip();
      const folder = await mkdtemp(join(tmpdir(), 'telos-logs-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      const gate = join(folder, 'gate');
      execFileSync('mkfifo', [gate]);
      const proxy = await startCuttingProxy(readKubeconfig(sharedCluster().kubeconfig).server);
      onTestFinished(() => proxy.close());
      const { file, remove } = await kubeconfigAs(sharedCluster().kubeconfig, { server: proxy.url, token });
      onTestFinished(remove);
      await pod('p', `echo one; printf tw; cat ${gate}; cat ${gate}`);
      await says({ phase: 'Running', podName: 'p' });
      let step = 0;
      const followed = await telos(['logs', 'a', '-f', '--store', 'kubernetes', '-n', namespace], {
        env: { KUBECONFIG: file },
        onOutput: (output) => {
          if (step === 0 && output === 'one\n') {
            step = 1;
            proxy.cut();
            void writeFile(gate, 'o\nthree\n');
          }
          if (step === 1 && output === 'one\ntwo\nthree\n') {
            step = 2;
            proxy.cut();
            void writeFile(gate, 'four')
              .then(() => phase('p', 'Succeeded'))
              .then(() => says({ phase: 'Succeeded', podName: 'p' }));
          }
        },
      });
      expect(followed).toMatchObject({ exitCode: 0, stdout: 'one\ntwo\nthree\nfour' });
      expect(followed.stderr).toMatch(/the log of Pod p broke off/);
    });
  });
});
