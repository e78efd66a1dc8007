import { afterAll, beforeAll } from 'vitest';
import { describeOnCluster, sharedCluster } from '../../cluster/kit/cluster.ts';
import { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../../cluster/kit/definitions.ts';
import { tokenAs } from '../../cluster/kit/roles.ts';
import { storeContract } from '../contract.ts';
import { openClusterStore } from './cluster-store.ts';

describeOnCluster('on a cluster', () => {
  let admin: ClusterClient;

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
  });
  afterAll(() => admin.close());

  storeContract('a Kubernetes API server', async () => {
    const namespaces = await Promise.all(
      ['one', 'two'].map((prefix) => admin.createNamespace(prefix, { serviceAccount: false })),
    );
    const [namespace = '', otherNamespace = ''] = namespaces;
    const token = await tokenAs(admin, 'everybody', namespace, { everywhere: true });
    const store = await openClusterStore(sharedCluster().kubeconfig, { token });
    return {
      store,
      namespace,
      otherNamespace,
      async close() {
        await store.close();
        for (const name of namespaces) await admin.delete('v1/namespaces', { name });
      },
    };
  });
});
