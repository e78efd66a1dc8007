import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import type { InstallMode } from '../src/cli/manifests/access-rules.ts';
import { runCli } from '../src/cli/program.ts';
import { openKubernetesStore } from '../src/store/kubernetes/kubernetes-store.ts';
import {
  type ControlPlane,
  controlPlanePrograms,
  startControlPlane,
} from '../test/cluster/kit/control-plane.ts';
import { formatKubeconfig, readKubeconfig } from '../test/cluster/kit/kubeconfig.ts';
import { ClusterTrouble, untilWell } from './cluster-trouble.ts';
import { startEngine } from './engine-process.ts';
import { fastClock, speed } from './fast-clock.ts';
import { Gate } from './gate.ts';
import { GatedStore } from './gated-store.ts';
import { namespaces } from './plan.ts';
import type { Stand, StandOptions } from './stand.ts';
import { TroubledWay } from './troubled-way.ts';

/** From so many kills on it is a long torture, in which etcd freezes for as long as a bad disk makes it. */
const longKills = 100;
const freezeMs = { short: 4_000, long: 30_000 };

/**
 * Two real seconds, so that what a killed engine held is taken over while the others live. Shorter ones are lost
 * whenever the machine is busy.
 */
const sharing = { shards: 4, leaseMs: 2_000 };

const shardFlags = [`--shards=${sharing.shards}`, `--lease-duration=${(sharing.leaseMs * speed) / 1000}s`];

/** Telos's own namespace and ServiceAccount, as `telos manifests` has them. */
const account = { namespace: 'telos-system', name: 'telos' };

/**
 * A control plane of its own, with Telos installed as a companion: engines have the rights of its ServiceAccount, and
 * come to the API server on a way full of trouble.
 */
export async function openKubernetesStand({ folder, caFile, seed, kills }: StandOptions): Promise<Stand> {
  const programs = controlPlanePrograms();
  if (programs === undefined) throw new Error('TELOS_TEST_CONTROL_PLANE is not set; run npm run torture');
  const plane = await startControlPlane(programs);
  try {
    await installTelos(plane);
    for (const name of namespaces)
      if (name !== 'default') await plane.admin.create('v1/namespaces', { metadata: { name } });
    const { server, ca } = readKubeconfig(plane.kubeconfig);
    const way = await TroubledWay.open(server, ca);
    const tokenFile = join(folder, 'token');
    const renew = async (): Promise<void> => {
      const token = await plane.admin.serviceAccountToken(account.namespace, account.name);
      await writeFile(tokenFile, token, { mode: 0o600 });
    };
    const kubeconfigOf = (engine: string): string => {
      const path = join(folder, `kubeconfig-${engine}`);
      writeFileSync(path, formatKubeconfig({ server: way.urlFor(engine), tokenFile }));
      return path;
    };
    await renew();

    const startedAt = Date.now();
    const env = { KUBECONFIG: plane.kubeconfig };
    const store = await openKubernetesStore({
      context: undefined,
      env,
      clock: systemClock,
      log: silentLogger,
    });
    await untilWell(store);
    const gate = new Gate();
    const freeze = kills < longKills ? freezeMs.short : freezeMs.long;
    const trouble = new ClusterTrouble({ plane, way, gate, store, seed, freezeMs: freeze, renew });
    return {
      clock: fastClock(startedAt),
      store: new GatedStore(store, gate, ({ kind, metadata }) => {
        if (kind === 'Task') trouble.created(metadata);
      }),
      storeName: 'kubernetes',
      env,
      trouble,
      sharing,
      startEngine: (start) => {
        const env = { KUBECONFIG: kubeconfigOf(`engine-${start.number}`) };
        return startEngine({ storeName: 'kubernetes', caFile, startedAt, flags: shardFlags, env }, start);
      },
      async close() {
        await store.close();
        await way.close();
        await plane.stop();
      },
    };
  } catch (error) {
    await plane.stop();
    throw error;
  }
}

/** What `telos manifests --mode companion` prints, and Kelos's kinds, which are not in it. */
async function installTelos({ admin }: ControlPlane): Promise<void> {
  const printed = await printManifests('standalone');
  const kinds = printed
    .split(/^---$/m)
    .filter((document) => /^kind: CustomResourceDefinition$/m.test(document));
  await admin.apply(kinds.join('---'));
  await admin.apply(await printManifests('companion'));
}

async function printManifests(mode: InstallMode): Promise<string> {
  let printed = '';
  const write = (text: string | Uint8Array): boolean => {
    printed += String(text);
    return true;
  };
  const exitCode = await runCli(['manifests', '--mode', mode], {
    stdin: Readable.from([]),
    stdout: { write },
    stderr: process.stderr,
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
  });
  if (exitCode !== 0) throw new Error(`telos manifests --mode ${mode} ended with ${exitCode}`);
  return printed;
}
