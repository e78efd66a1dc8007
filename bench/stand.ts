import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onCompletionFinalizer } from '../src/api/names.ts';
import { systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import { type Certificate, makeCertificate } from '../src/cli/demo/certificate.ts';
import { EgressGuard } from '../src/egress/guard.ts';
import { parseEgressPolicy } from '../src/egress/policy.ts';
import { createEngine, type Engine } from '../src/engine.ts';
import { everyPage } from '../src/store/every-page.ts';
import { openKubernetesStore } from '../src/store/kubernetes/kubernetes-store.ts';
import { openThreadedStore } from '../src/store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../src/store/store.ts';
import type { EngineOrder, EngineReport } from './engine.ts';
import type { ReceiverOrder, ReceiverQuestion, ReceiverReport } from './receiver.ts';

/** Receivers in another process, on several ports (each its own origin). */
export interface Receivers {
  readonly urls: readonly string[];
  /** The authority that signed their certificate. */
  readonly caPem: string;
  /** Resolves when so many POSTs have been answered since the last reset. */
  reached(count: number): Promise<void>;
  reset(): Promise<void>;
  /** What came since the last reset. */
  report(): Promise<ReceiverReport>;
  close(): void;
}

/** `hanging` of the ports, the first ones, never answer. */
export async function startReceivers(ports: number, hanging = 0): Promise<Receivers> {
  const { authority, certificate } = await loopbackCertificate();
  const child = fork(fileURLToPath(new URL('./receiver.js', import.meta.url)));
  const order: ReceiverOrder = { ...pemOf(certificate), ports, hanging };
  child.send(order);
  const [answer] = (await once(child, 'message')) as [{ ports: number[] }];
  const ask = async (question: ReceiverQuestion): Promise<unknown> => {
    const answered = once(child, 'message');
    child.send(question);
    return (await answered)[0];
  };
  return {
    urls: answer.ports.map((port) => `https://127.0.0.1:${port}/hooks`),
    caPem: authority.certPem,
    reached: async (count) => void (await ask({ ask: 'reached', count })),
    reset: async () => void (await ask({ ask: 'reset' })),
    report: async () => (await ask({ ask: 'report' })) as ReceiverReport,
    close: () => child.kill(),
  };
}

function pemOf({ certPem, keyPem }: Certificate): { certPem: string; keyPem: string } {
  return { certPem, keyPem };
}

/** A certificate for 127.0.0.1 and the authority that signed it. */
async function loopbackCertificate(): Promise<{ authority: Certificate; certificate: Certificate }> {
  const authority = await makeCertificate();
  return { authority, certificate: await makeCertificate({ names: ['127.0.0.1'], signedBy: authority }) };
}

/** Where a store is, and what of it is worked on. */
export type StorePlace = { readonly path: string } | ClusterPlace;

/** One namespace of a cluster. */
export interface ClusterPlace {
  readonly kubeconfig: string;
  readonly namespace: string;
}

/** The store as `telos up` opens it. */
export function openPlace(place: StorePlace): Promise<ResourceStore> {
  if ('path' in place) return openStore(place.path);
  const env = { KUBECONFIG: place.kubeconfig };
  return openKubernetesStore({ context: undefined, env, clock: systemClock, log: silentLogger });
}

/** A file as `telos up` opens it. */
export function openStore(path: string): Promise<ResourceStore> {
  const threadPath = fileURLToPath(new URL('./store-thread.js', import.meta.url));
  const onLost = (error: Error): void => {
    throw error;
  };
  return openThreadedStore({ path, log: silentLogger, threadPath, onLost });
}

export interface RunningEngine {
  readonly engine: Engine;
  stop(): Promise<void>;
}

/** An engine that only reports, with its guard; in all namespaces unless one is named. */
export function reportingEngine(store: ResourceStore, caPem: string, namespace?: string): RunningEngine {
  const policy = parseEgressPolicy({ allow: ['127.0.0.0/8'], deny: [], caPem });
  const guard = new EgressGuard(policy, { clock: systemClock });
  const engine = createEngine({
    store,
    namespaces: namespace === undefined ? undefined : [namespace],
    clock: systemClock,
    log: silentLogger,
    spawn: false,
    run: undefined,
    report: { guard, hookSecrets: 'any', backlogMs: 24 * 3_600_000, version: 'bench' },
  });
  const stopping = new AbortController();
  const ended = engine.run(stopping.signal);
  return {
    engine,
    async stop() {
      stopping.abort();
      await ended;
      await guard.close();
    },
  };
}

/** An engine in another process. */
export interface EngineProcess {
  /**
   * Runs over a store with so much to deliver until each of it is settled in the store. What is to be delivered may
   * also come about `meanwhile`.
   */
  workOff(
    receivers: Receivers,
    place: StorePlace,
    count: number,
    meanwhile?: () => Promise<void>,
  ): Promise<Work>;
  close(): void;
}

export interface Work extends EngineReport {
  /** Deliveries a second, from opening the store to closing it. */
  readonly rate: number;
}

export async function startEngine(): Promise<EngineProcess> {
  const child = fork(fileURLToPath(new URL('./engine.js', import.meta.url)));
  await once(child, 'spawn');
  return {
    async workOff(receivers, place, count, meanwhile) {
      await receivers.reset();
      const order: EngineOrder = { place, caPem: receivers.caPem };
      const began = performance.now();
      child.send(order);
      await Promise.all([receivers.reached(count), meanwhile?.()]);
      // Stopping writes what is still to be written: it belongs to the work.
      const told = once(child, 'message');
      child.send('stop');
      const [report] = (await told) as [EngineReport];
      const rate = count / ((performance.now() - began) / 1000);
      await assertDelivered(place, count);
      return { ...report, rate };
    },
    close: () => child.disconnect(),
  };
}

async function assertDelivered(place: StorePlace, count: number): Promise<void> {
  const store = await openPlace(place);
  const namespaces = 'namespace' in place ? [place.namespace] : undefined;
  const all = { namespaces, limit: 500, signal: new AbortController().signal };
  let delivered = 0;
  for await (const page of everyPage(store, 'Delivery', all))
    for (const { status } of page) if (status?.phase === 'Delivered') delivered += 1;
  let held = 0;
  for await (const page of everyPage(store, 'Task', all))
    for (const { metadata } of page) if (metadata.finalizers?.includes(onCompletionFinalizer)) held += 1;
  await store.close();
  if (delivered !== count || held > 0)
    throw new Error(`${delivered} of ${count} Deliveries are Delivered; ${held} Tasks are held`);
}
