import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import { ClusterClient } from '../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../store/kubernetes/cluster-store.ts';
import { telos } from '../support/telos-program.ts';

describeOnCluster('the commands on a Kubernetes cluster', () => {
  let admin: ClusterClient;
  let namespace: string;
  const run = (args: string[], stdin = ''): ReturnType<typeof telos> =>
    telos([...args, '--store', 'kubernetes', '-n', namespace], {
      stdin,
      env: { KUBECONFIG: sharedCluster().kubeconfig },
    });

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
  });
  afterAll(() => admin.close());
  beforeEach(async () => {
    namespace = await admin.createNamespace('cli', { serviceAccount: false });
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
});
