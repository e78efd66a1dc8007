import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { apiVersionOf, type Draft, type Resource } from '../../../src/api/kinds.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { describeOnCluster, sharedCluster } from '../../cluster/kit/cluster.ts';
import { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import {
  type ControlPlane,
  controlPlanePrograms,
  startControlPlane,
} from '../../cluster/kit/control-plane.ts';
import { installDefinition, installDefinitions, taskDefinition } from '../../cluster/kit/definitions.ts';
import { type Connection, readKubeconfig } from '../../cluster/kit/kubeconfig.ts';
import { tokenAs } from '../../cluster/kit/roles.ts';
import { untilGone } from '../../support/until.ts';
import { ownerOf, refused, taskDraft } from '../contract.ts';
import { openClusterStore } from './cluster-store.ts';
import { startCuttingProxy, startRewritingProxy } from './cutting-proxy.ts';
import { WatchedPhases } from './watching-tasks.ts';

const opened: { close(): Promise<void> }[] = [];
const later = <T extends { close(): Promise<void> }>(one: T): T => {
  opened.push(one);
  return one;
};
const watchLater = async (store: ResourceStore, namespace: string): Promise<WatchedPhases> => {
  const watched = new WatchedPhases(store, namespace);
  opened.push({ close: () => watched.stop() });
  await watched.synced();
  return watched;
};
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const finish = (store: ResourceStore, namespace: string, name: string): Promise<unknown> =>
  store.patch('Task', { namespace, name }, { status: { phase: 'Succeeded' } }, { subresource: 'status' });

/** Where the cluster is; its administrator stays out of it. */
function place(): Connection {
  const { server, ca } = readKubeconfig(sharedCluster().kubeconfig);
  return { server, ...(ca && { ca }) };
}

describeOnCluster('a Kubernetes store in trouble', () => {
  let admin: ClusterClient;
  let namespace: string;
  let token: string;
  let store: ResourceStore;
  const create = (name: string): Promise<Resource<'Task'>> =>
    store.create<'Task'>(taskDraft({ name, namespace }));

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
  });
  afterAll(() => admin.close());
  beforeEach(async () => {
    namespace = await admin.createNamespace('trouble', { serviceAccount: false });
    opened.push({ close: () => admin.delete('v1/namespaces', { name: namespace }) });
    token = await tokenAs(admin, 'everybody', namespace, { everywhere: true });
    store = later(await openClusterStore(sharedCluster().kubeconfig, { token }));
  });
  /** As Telos watches beside Kelos, by another way. */
  const watchingBy = async (server: string): Promise<ResourceStore> => {
    const companion = await tokenAs(admin, 'companion', namespace);
    return later(await openClusterStore(sharedCluster().kubeconfig, { server, token: companion }));
  };

  test('sees every change although its connections are cut again and again', async () => {
    const { server } = readKubeconfig(sharedCluster().kubeconfig);
    const proxy = later(await startCuttingProxy(server));
    const watching = await watchingBy(proxy.url);
    const watched = await watchLater(watching, namespace);
    let cuts = 0;
    for (let round = 0; round < 5; round += 1) {
      const names = [0, 1, 2, 3].map((index) => `t${round}-${index}`);
      await Promise.all(names.map(create));
      cuts += proxy.cut();
      await Promise.all(names.map((name) => finish(store, namespace, name)));
      cuts += proxy.cut();
      await watched.until('Succeeded', (round + 1) * names.length);
      await store.delete('Task', { namespace, name: `t${round}-0` });
      await store.create<'Task'>(taskDraft({ name: `t${round}-0`, namespace }));
      await finish(store, namespace, `t${round}-0`);
      proxy.cut();
    }
    await watched.until('Succeeded', 20);
    expect(cuts).toBeGreaterThanOrEqual(10);
  });

  test('sees every change although each watch is told that its version is too old', async () => {
    let lists = 0;
    const old = (path: string): string => {
      if (!path.includes('/tasks?')) return path;
      if (!path.includes('watch=true')) lists += 1;
      return path.includes('watch=true') ? path.replace(/resourceVersion=\d+/, 'resourceVersion=1') : path;
    };
    const proxy = later(await startRewritingProxy(place(), old));
    const watching = await watchingBy(proxy.url);
    const page = await watching.list('Task', { namespace });
    const events = watching.watch('Task', { namespace, resourceVersion: page.resourceVersion });
    await refused('Gone', events[Symbol.asyncIterator]().next());
    const watched = await watchLater(watching, namespace);
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      await create(name);
      await finish(store, namespace, name);
      await watched.until('Succeeded', index + 1);
    }
    expect(lists).toBeGreaterThan(3);
  });

  test('says which right is missing to whom, and goes on when it is given', async () => {
    const nobody = await admin.serviceAccountToken(namespace, 'telos');
    const poor = later(await openClusterStore(sharedCluster().kubeconfig, { token: nobody }));
    const error = await refused('Unavailable', poor.get('Task', { namespace, name: 'a' }));
    expect(error.message).toMatch(
      new RegExp(`User "system:serviceaccount:${namespace}:telos" cannot get resource "tasks".*grant it`),
    );
    const metadata = { name: 'telos', namespace };
    const rights = [{ apiGroups: ['kelos.dev'], resources: ['tasks'], verbs: ['get'] }];
    const rbac = 'rbac.authorization.k8s.io';
    const subjects = [{ kind: 'ServiceAccount', name: 'telos', namespace }];
    await admin.applyObject({ apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules: rights } as never);
    const roleRef = { apiGroup: rbac, kind: 'Role', name: 'telos' };
    await admin.applyObject({
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      subjects,
      roleRef,
    } as never);
    await create('a');
    // The API server learns of a new role in its own time.
    let seen: unknown;
    while (seen === undefined) {
      seen = await poor.get('Task', { namespace, name: 'a' }).catch(() => undefined);
    }
    expect(seen).toMatchObject({ metadata: { name: 'a' } });
    await poor.ping();
  });

  test('comes again when the API server has no room for it, by its own priority and fairness', async () => {
    const name = `telos-${namespace}`;
    await limitTo(admin, name, namespace);
    for (const plural of ['flowschemas', 'prioritylevelconfigurations'])
      later({ close: () => admin.delete(`flowcontrol.apiserver.k8s.io/v1/${plural}`, { name }) });
    let rejected = 0;
    for (let round = 0; rejected === 0; round += 1) {
      const names = Array.from({ length: 32 }, (_, index) => `t${round}-${index}`);
      const made = await Promise.all(names.map(create));
      expect(made.map(({ metadata }) => metadata.name)).toEqual(names);
      // The API server learns of the limit in its own time.
      rejected = await rejectedBy(admin, name);
    }
    expect(rejected).toBeGreaterThan(0);
  });

  test('says that its credentials are not taken', async () => {
    const stranger = later(await openClusterStore(sharedCluster().kubeconfig, { token: 'nobody' }));
    const error = await refused('Unavailable', stranger.list('Task', { namespace }));
    expect(error.message).toMatch(/401 Unauthorized.*renew the credentials/);
    expect(error.message).not.toContain('nobody');
  });

  test('takes a resource of a megabyte, also on a watch, and refuses what etcd does not take', async () => {
    const big = (name: string, size: number): Draft<'Task'> => ({
      ...taskDraft({ name, namespace }),
      spec: { type: 'command', command: ['true'], prompt: 'x'.repeat(size) },
    });
    const { resourceVersion } = await store.list('Task', { namespace });
    await store.create<'Task'>(big('a', 1_000_000));
    for await (const event of store.watch('Task', { namespace, resourceVersion })) {
      expect('resource' in event && event.resource.spec.prompt?.length).toBe(1_000_000);
      break;
    }
    await refused('Invalid', store.create<'Task'>(big('b', 2_500_000)));
  });

  test('a namespace that is not there or is going takes nothing', async () => {
    const gone = await refused(
      'NotFound',
      store.create<'Task'>(taskDraft({ name: 'a', namespace: 'no-such-namespace' })),
    );
    expect(gone.message).toMatch(/namespaces "no-such-namespace" not found: create the namespace first/);
  });
});

/** Gives the ServiceAccounts of a namespace as little room as the API server can give, and no queue. */
async function limitTo(admin: ClusterClient, name: string, namespace: string): Promise<void> {
  const apiVersion = 'flowcontrol.apiserver.k8s.io/v1';
  const limited = {
    nominalConcurrencyShares: 1,
    borrowingLimitPercent: 0,
    limitResponse: { type: 'Reject' },
  };
  const level = { apiVersion, kind: 'PriorityLevelConfiguration', metadata: { name } };
  await admin.applyObject({ ...level, spec: { type: 'Limited', limited } } as never);
  const subjects = [{ kind: 'ServiceAccount', serviceAccount: { namespace, name: '*' } }];
  const all = { apiGroups: ['*'], resources: ['*'], verbs: ['*'], namespaces: ['*'] };
  const schema = { apiVersion, kind: 'FlowSchema', metadata: { name } };
  await admin.applyObject({
    ...schema,
    spec: {
      priorityLevelConfiguration: { name },
      matchingPrecedence: 100,
      rules: [{ subjects, resourceRules: [all] }],
    },
  } as never);
}

/** How many requests the API server has turned away by this FlowSchema. */
async function rejectedBy(admin: ClusterClient, flowSchema: string): Promise<number> {
  const metrics = await admin.raw('/metrics');
  const lines = metrics.matchAll(/^apiserver_flowcontrol_rejected_requests_total\{(.*)\} (\S+)$/gm);
  return [...lines]
    .filter(([, labels = '']) => labels.includes(`flow_schema="${flowSchema}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}

const ownPlane = inject('cluster') === undefined ? undefined : controlPlanePrograms();

describe.skipIf(ownPlane === undefined)('a Kubernetes store and a control plane of its own', () => {
  let plane: ControlPlane;
  let store: ResourceStore;
  const key = { namespace: 'default', name: 'a' };

  beforeAll(async () => {
    plane = await startControlPlane(ownPlane ?? '');
    const token = await tokenAs(plane.admin, 'everybody', 'default', { everywhere: true });
    store = await openClusterStore(plane.kubeconfig, { token });
  });
  afterAll(async () => {
    await store.close();
    await plane.stop();
  });

  test('waits for CRDs that come later, and works with those that serve only the older version', async () => {
    const error = await refused('Unavailable', store.list('Task'));
    expect(error.message).toMatch(
      /does not know tasks\.kelos\.dev: install Kelos, or without it: telos manifests --mode standalone \| kubectl apply -f -$/,
    );
    const definition = taskDefinition();
    const versions = definition.spec.versions
      .filter(({ name }) => name === 'v1alpha1')
      .map((version) => ({ ...version, storage: true }));
    await installDefinition(plane.admin, { ...definition, spec: { ...definition.spec, versions } });
    const owner = await store.create<'Task'>(taskDraft(key));
    expect(owner.apiVersion).toBe(apiVersionOf('Task'));
    expect((await plane.admin.get('kelos.dev/v1alpha1/tasks', key)).apiVersion).toBe('kelos.dev/v1alpha1');
    // The garbage collector looks the owner up by the version that the reference names.
    const child = taskDraft({ name: 'child', namespace: 'default', ownerReferences: [ownerOf(owner)] });
    await store.create<'Task'>(child);
    if (plane.controllers) {
      await store.delete('Task', key);
      await untilGone(store, 'Task', { ...key, name: 'child' });
    }
    await installDefinitions(plane.admin);
    expect((await store.list('Task', { namespace: 'default' })).items).toHaveLength(
      plane.controllers ? 0 : 2,
    );
  });

  test('goes on when the API server was away', async () => {
    const watched = await watchLater(store, 'default');
    await store.create<'Task'>(taskDraft({ name: 'before', namespace: 'default' }));
    await finish(store, 'default', 'before');
    await watched.until('Succeeded', 1);
    await plane.killApiServer();
    const error = await refused('Unavailable', store.get('Task', { ...key, name: 'before' }));
    expect(error.message).toMatch(/the connection is refused: check that it runs/);
    await refused('Unavailable', store.ping());
    await plane.startApiServer();
    await store.create<'Task'>(taskDraft({ name: 'after', namespace: 'default' }));
    await finish(store, 'default', 'after');
    await watched.until('Succeeded', 2);
  });
});
