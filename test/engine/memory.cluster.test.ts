import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { onCompletionAnnotation } from '../../src/api/names.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import { createEngine, type Engine } from '../../src/engine.ts';
import { defaultBacklogMs } from '../../src/report/room.ts';
import { createJobRunner } from '../../src/run/job/job-runner.ts';
import { KubernetesJobs } from '../../src/run/job/kubernetes-jobs.ts';
import { type ApiServer, connectApiServer } from '../../src/store/kubernetes/api-server.ts';
import { createKubernetesStore } from '../../src/store/kubernetes/kubernetes-store.ts';
import { clusterAdmin, describeOnCluster, sharedCluster } from '../cluster/kit/cluster.ts';
import type { ClusterClient } from '../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../cluster/kit/definitions.ts';
import type { KubeObject } from '../cluster/kit/kube-object.ts';
import { tokenAs } from '../cluster/kit/roles.ts';
import { kubeconfigAs } from '../store/kubernetes/cluster-store.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const taskCount = 100;
const prompt = 'p'.repeat(200_000);
/** What may be kept of one Task, by all rooms together, and what an engine at work needs besides. */
const maxKeptBytes = 50_000;

describeOnCluster('an engine on Kubernetes', () => {
  let admin: ClusterClient;
  let namespace: string;
  let server: ApiServer;
  const ending: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    admin = clusterAdmin();
    await installDefinitions(admin);
    namespace = await admin.createNamespace('memory', { serviceAccount: false });
    // Who may write nothing: so whatever waits for a write goes on waiting.
    const token = await tokenAs(admin, 'onlooker', namespace);
    const kubeconfig = await kubeconfigAs(sharedCluster().kubeconfig, { token });
    ending.push(() => kubeconfig.remove());
    const env = { KUBECONFIG: kubeconfig.file };
    server = await connectApiServer({ context: undefined, env, clock: systemClock, log: silentLogger });
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    await admin.delete('v1/namespaces', { name: namespace });
  });

  /** All rooms. */
  async function start(): Promise<Engine> {
    const [clock, log, namespaces] = [systemClock, silentLogger, [namespace]];
    const store = createKubernetesStore(server);
    const guard = new EgressGuard(parseEgressPolicy({ allow: [], deny: [] }), { clock });
    const runner = createJobRunner({ api: new KubernetesJobs(server), store, namespaces, clock, log });
    const report = { guard, hookSecrets: 'any', backlogMs: defaultBacklogMs, version: '0.0.0' } as const;
    const engine = createEngine({ store, namespaces, clock, log, spawn: true, run: { runner }, report });
    const stopping = new AbortController();
    const running = engine.run(stopping.signal);
    ending.push(async () => {
      stopping.abort();
      await running;
      await guard.close();
      await store.close();
    });
    await engine.started(stopping.signal);
    return engine;
  }

  const untilSeen = (engine: Engine): Promise<void> =>
    expect
      .poll(() => engine.metrics.metrics(), { timeout: 50_000, interval: 200 })
      .toMatch(new RegExp(`^telos_recorder_unrecorded ${taskCount}$`, 'm'));

  async function createTasks(): Promise<void> {
    const hooks = JSON.stringify([{ name: 'a', webhook: { url: 'https://hooks.example.com/' } }]);
    for (let number = 0; number < taskCount; number += 1) {
      await admin.create('kelos.dev/v1alpha2/tasks', {
        apiVersion: 'kelos.dev/v1alpha2',
        kind: 'Task',
        metadata: { namespace, name: `t-${number}`, annotations: { [onCompletionAnnotation]: hooks } },
        spec: { type: 'command', image: 'busybox', command: ['true'], suspend: true, prompt },
      } as KubeObject);
    }
  }

  async function heapBytes(): Promise<number> {
    // What an answer brought is let go a turn later.
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    return process.memoryUsage().heapUsed;
  }

  test('keeps little of Tasks with prompts of 200 KB, whatever they wait for', async () => {
    const engine = await start();
    const before = await heapBytes();
    await createTasks();
    await untilSeen(engine);
    expect((await heapBytes()) - before).toBeLessThan(taskCount * maxKeptBytes);
  });
});
