import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ControlPlane, controlPlanePrograms, startControlPlane } from './kit/control-plane.ts';
import { processExists } from './kit/process-exists.ts';
import type { Pod } from './stand-in-node/pod.ts';
import { startStandInNode } from './stand-in-node/stand-in-node.ts';

const programs = controlPlanePrograms();

describe.skipIf(programs === undefined)(
  "a control plane of a test's own (npm run test:cluster runs this)",
  () => {
    let plane: ControlPlane;

    beforeAll(async () => {
      plane = await startControlPlane(programs ?? '');
    });
    afterAll(() => plane.stop());

    it('has its API server killed, and back on the same port over the same data', async () => {
      const { admin, pids } = plane;
      const namespace = await admin.createNamespace('kept', { serviceAccount: false });
      await plane.killApiServer();
      expect(processExists(pids['kube-apiserver'] ?? 0)).toBe(false);
      await expect(admin.get('v1/namespaces', { name: namespace })).rejects.toThrow();
      await plane.startApiServer();
      expect((await admin.get('v1/namespaces', { name: namespace })).metadata.name).toBe(namespace);
    });

    it('breaks a watch when its API server is killed', async () => {
      const watch = plane.admin.watch('v1/namespaces');
      await watch.next();
      const end = drain(watch).catch((error: unknown) => error);
      await plane.killApiServer();
      expect(await end).toBeInstanceOf(Error);
      await plane.startApiServer();
    });

    it('answers no write while etcd is frozen, and all of them once it goes on', async () => {
      plane.pauseEtcd();
      let answered = false;
      const write = plane.admin
        .create('v1/configmaps', { metadata: { namespace: 'default', name: 'patient' } })
        .finally(() => {
          answered = true;
        });
      // The API server itself is well, and says so.
      expect(await plane.admin.raw('/livez/ping')).toBe('ok');
      expect(answered).toBe(false);
      plane.resumeEtcd();
      expect((await write).metadata.name).toBe('patient');
    });

    it('has a node that tells what happened while the API server was away', async () => {
      const { admin } = plane;
      const node = await startStandInNode(admin);
      onTestFinished(() => node.stop());
      const namespace = await admin.createNamespace('away', { serviceAccount: plane.controllers });
      const folder = await mkdtemp(join(tmpdir(), 'telos-test-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      const go = join(folder, 'go');
      execFileSync('mkfifo', [go]);
      const key = { namespace, name: 'worker' };
      await admin.create('v1/pods', {
        metadata: key,
        spec: {
          nodeName: node.name,
          restartPolicy: 'Never',
          containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', `cat "${go}"; exit 4`] }],
        },
      } as Pod);
      await admin.until<Pod>('v1/pods', key, ({ status }) => status?.phase === 'Running');
      await plane.killApiServer();
      await writeFile(go, 'done\n');
      await plane.startApiServer();
      const { status } = await admin.until<Pod>('v1/pods', key, (pod) => pod.status?.phase === 'Failed');
      expect(status?.containerStatuses?.[0]?.state).toMatchObject({ terminated: { exitCode: 4 } });
      expect(await admin.log(key)).toBe('done\n');
    });

    it('leaves nothing behind when it is stopped', async () => {
      const other = await startControlPlane(programs ?? '');
      const { pids, kubeconfig } = other;
      expect(Object.values(pids).every(processExists)).toBe(true);
      await other.stop();
      expect(Object.values(pids).filter(processExists)).toEqual([]);
      expect(existsSync(dirname(kubeconfig))).toBe(false);
    });
  },
);

/** Reads on until the end, or the break. */
async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const event of events) void event;
}
