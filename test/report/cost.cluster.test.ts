import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Delivery, isSettled } from '../../src/api/delivery.ts';
import type { Draft } from '../../src/api/kinds.ts';
import { deliveryTaskLabel, onCompletionAnnotation, onCompletionFinalizer } from '../../src/api/names.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import { createEngine } from '../../src/engine.ts';
import { defaultRetention, sweepDeliveries } from '../../src/report/retention.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import { ClusterClient } from '../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import { readKubeconfig } from '../cluster/kit/kubeconfig.ts';
import { tokenAs } from '../cluster/kit/roles.ts';
import { rightOf } from '../deploy/used-rights.ts';
import { openClusterStore } from '../store/kubernetes/cluster-store.ts';
import { startRewritingProxy } from '../store/kubernetes/cutting-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { until } from '../support/until.ts';
import { deliveryOf } from './fixtures.ts';

describeOnCluster('what Deliveries cost an API server and its etcd', () => {
  let admin: ClusterClient;
  let namespace: string;
  let store: ResourceStore;
  let counted: ResourceStore;
  let requests: string[];
  let receiver: Receiver;
  const ending: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    const { kubeconfig } = sharedCluster();
    admin = ClusterClient.fromKubeconfig(kubeconfig);
    ending.push(() => admin.close());
    await installDefinitions(admin);
    namespace = await admin.createNamespace('cost', { serviceAccount: false });
    ending.push(() => admin.delete('v1/namespaces', { name: namespace }));
    requests = [];
    const { cert: _cert, key: _key, ...place } = readKubeconfig(kubeconfig);
    const proxy = await startRewritingProxy(place, (path, method) => {
      requests.push(rightOf(method, path) ?? path);
      return path;
    });
    ending.push(() => proxy.close());
    store = await openClusterStore(kubeconfig, {
      token: await tokenAs(admin, 'everybody', namespace, { everywhere: true }),
    });
    const token = await tokenAs(admin, 'companion', namespace);
    counted = await openClusterStore(kubeconfig, { server: proxy.url, token });
    ending.push(
      () => store.close(),
      () => counted.close(),
    );
    receiver = await startReceiver();
    ending.push(() => receiver.close());
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  /** Runs an engine that reports, over the store whose requests are counted. */
  async function startEngine(): Promise<() => Promise<void>> {
    const policy = parseEgressPolicy({ allow: ['127.0.0.0/8'], deny: [], caPem: receiver.caPem });
    const guard = new EgressGuard(policy, { clock: systemClock });
    const engine = createEngine({
      store: counted,
      namespaces: [namespace],
      clock: systemClock,
      log: silentLogger,
      spawn: false,
      run: undefined,
      report: { guard, hookSecrets: 'any', backlogMs: 60_000, version: '0' },
    });
    const stopping = new AbortController();
    const ended = engine.run(stopping.signal);
    const stop = async (): Promise<void> => {
      stopping.abort();
      await ended;
      await guard.close();
    };
    ending.push(stop);
    await engine.started(new AbortController().signal);
    return stop;
  }

  function heldTask(name: string): Draft<'Task'> {
    const hooks = JSON.stringify([{ name: 'oncall', webhook: { url: receiver.origin } }]);
    return {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: {
        name,
        namespace,
        annotations: { [onCompletionAnnotation]: hooks },
        finalizers: [onCompletionFinalizer],
      },
      spec: { type: 'command', command: ['true'] },
    };
  }

  const end = (name: string, status: object = {}): Promise<unknown> =>
    store.patch(
      'Task',
      { namespace, name },
      { status: { phase: 'Succeeded', completionTime: new Date().toISOString(), ...status } },
      { subresource: 'status' },
    );

  /** Resolves when the Task is marked and let go, and its one Delivery is settled. */
  async function told(name: string): Promise<Delivery> {
    await until(store, 'Task', { namespace, name }, ({ metadata }) => metadata.finalizers === undefined);
    const labelSelector = `${deliveryTaskLabel}=${name}`;
    const [delivery] = (await store.list('Delivery', { namespace, labelSelector })).items;
    return until(store, 'Delivery', { namespace, name: delivery?.metadata.name ?? '' }, isSettled);
  }

  const writes = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const right of requests)
      if (!/^(get|list|watch) |^\//.test(right)) counts[right] = (counts[right] ?? 0) + 1;
    return counts;
  };

  test('a completion with one hook that answers at once costs three writes', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `task-${n}`);
    await Promise.all(names.map((name) => store.create(heldTask(name))));
    const stop = await startEngine();
    await Promise.all(names.map((name) => end(name)));
    await Promise.all(names.map(told));
    await stop();
    expect(receiver.requests).toHaveLength(20);
    expect(writes()).toEqual({
      'create telos.dev/deliveries': 20,
      'patch kelos.dev/tasks': 20,
      'patch telos.dev/deliveries/status': 20,
    });
  });

  test('a Task as large as etcd takes is told, and its Delivery leaves room for what comes of it', async () => {
    await store.create(heldTask('large'));
    await startEngine();
    // Each of these characters takes six bytes in etcd.
    const results = Object.fromEntries([...'abcdefg'].map((key) => [key, '<'.repeat(32 * 1024)]));
    await end('large', { results: { ...results, h: '<'.repeat(30 * 1024) } });
    const { status, metadata } = await told('large');
    expect(status?.phase).toBe('Delivered');
    const stored = await admin.raw(
      `/apis/telos.dev/v1alpha1/namespaces/${namespace}/deliveries/${metadata.name}`,
    );
    expect(Buffer.byteLength(stored)).toBeLessThan(2 ** 20);
    expect(receiver.requests[0]?.body.length).toBeGreaterThan(100_000);
  });

  test('settled Deliveries whose time is over are removed page by page, others stay', async () => {
    const names = Array.from({ length: 130 }, (_, n) => `old-${n}`);
    const draft = (name: string): Draft<'Delivery'> => {
      const { metadata: _metadata, status: _status, ...rest } = deliveryOf({});
      return { ...rest, metadata: { name, namespace } };
    };
    const settle = (name: string, phase: string): Promise<unknown> =>
      store.patch('Delivery', { namespace, name }, { status: { phase } }, { subresource: 'status' });
    await Promise.all([...names, 'failed', 'waiting'].map((name) => store.create(draft(name))));
    await Promise.all([...names.map((name) => settle(name, 'Delivered')), settle('failed', 'Failed')]);
    const clock = new ManualClock(Date.now() + 7.5 * 24 * 3_600_000);
    const ended = new AbortController();
    let swept: Promise<void> | undefined;
    const removed = new Promise<unknown>((resolve) => {
      const log = { ...silentLogger, info: (_message: string, fields?: object) => resolve(fields) };
      const deps = { store: counted, namespaces: [namespace], clock, log };
      swept = sweepDeliveries(deps, defaultRetention, ended.signal);
    });
    clock.advance(60_000);
    expect(await removed).toEqual({ removed: 130 });
    ended.abort();
    await swept;
    expect(writes()).toEqual({ 'delete telos.dev/deliveries': 130 });
    expect(requests.filter((right) => right.startsWith('list '))).toHaveLength(2);
    const left = (await store.list('Delivery', { namespace })).items;
    expect(left.map(({ metadata }) => metadata.name)).toEqual(['failed', 'waiting']);
  });
});
