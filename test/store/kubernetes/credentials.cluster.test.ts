import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { openKubernetesStore } from '../../../src/store/kubernetes/kubernetes-store.ts';
import type { LoadOptions } from '../../../src/store/kubernetes/load-cluster.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { clusterAdmin, describeOnCluster, sharedCluster } from '../../cluster/kit/cluster.ts';
import type { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../../cluster/kit/definitions.ts';
import { type Connection, readKubeconfig } from '../../cluster/kit/kubeconfig.ts';
import { refused } from '../contract.ts';

/** The Task reader of a namespace. */
const reader = (namespace: string): string => `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader }
rules: [{ apiGroups: [kelos.dev], resources: [tasks], verbs: [list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects: [{ kind: ServiceAccount, name: reader, namespace: ${namespace} }]
`;

describeOnCluster('a ServiceAccount', () => {
  let admin: ClusterClient;
  let namespace: string;
  let folder: string;
  let token: string;
  let connection: Connection;

  beforeEach(async () => {
    admin = clusterAdmin();
    await installDefinitions(admin);
    namespace = await admin.createNamespace('who', { serviceAccount: false });
    token = await admin.serviceAccountToken(namespace, 'reader');
    await admin.apply(reader(namespace), namespace);
    connection = readKubeconfig(sharedCluster().kubeconfig);
    folder = await mkdtemp(join(tmpdir(), 'telos-who-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
    await admin.delete('v1/namespaces', { name: namespace });
  });

  async function file(name: string, text: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o700 });
    return path;
  }

  /** A kubeconfig with this user. */
  async function kubeconfig(user: object): Promise<Pick<LoadOptions, 'env'>> {
    const { server, ca } = connection;
    const cluster = { server, ...(ca && { 'certificate-authority': await file('ca.crt', ca) }) };
    const text = JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
    });
    return { env: { KUBECONFIG: await file('config', text) } };
  }

  async function open(options: Pick<LoadOptions, 'env' | 'serviceAccountFolder'>): Promise<ResourceStore> {
    const fixed = { context: undefined, clock: systemClock, log: silentLogger };
    const store = await openKubernetesStore({ ...fixed, ...options });
    onTestFinished(() => store.close());
    return store;
  }

  const sees = async (store: ResourceStore): Promise<void> =>
    expect((await store.list('Task', { namespace })).items).toEqual([]);

  test('is taken from a Pod', async (context) => {
    const { server, ca } = connection;
    if (ca === undefined) return context.skip();
    await file('token', token);
    await file('ca.crt', ca);
    const { hostname, port } = new URL(server);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port || '443' };
    await sees(await open({ env, serviceAccountFolder: folder }));
  });

  test('is taken from a token file, and from what the file says next when it is refused', async () => {
    const tokenFile = await file('token', 'expired');
    const store = await open(await kubeconfig({ tokenFile }));
    await refused('Unavailable', store.list('Task', { namespace }));
    await file('token', token);
    await sees(store);
  });

  test('is taken from an exec plugin, which is asked again when it is refused', async () => {
    const tokens = await file('tokens', `expired\n${token}\n`);
    // Says the next line each time.
    const plugin = await file(
      'plugin',
      `#!/bin/sh
token=$(head -n 1 ${tokens}); sed -i 1d ${tokens}
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "'$token'"}}'
`,
    );
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: plugin,
      interactiveMode: 'Never',
    };
    await sees(await open(await kubeconfig({ exec })));
  });
});
