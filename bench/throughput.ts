import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Pool } from 'undici';
import type { Certificate } from '../src/cli/demo/certificate.ts';
import type { Row } from './main.ts';
import {
  endedStatus,
  inParallel,
  loopbackCertificate,
  median,
  openStore,
  type Receivers,
  reportingEngine,
  startReceivers,
  taskDraft,
  temporaryFolder,
} from './stand.ts';

const posts = 4000;
const runs = 5;
const origins = 4;
const connections = 64;

/** Deliveries a second, durable record and status of each included, against a bare HTTP client. */
export async function throughput(): Promise<Row[]> {
  const { authority, certificate } = await loopbackCertificate();
  const receivers = await startReceivers(certificate, origins);
  const ratios: number[] = [];
  const rates: number[] = [];
  try {
    for (let run = 0; run < runs; run += 1) {
      const bare = await bareRate(receivers, authority);
      const telos = await telosRate(receivers, authority);
      rates.push(telos);
      ratios.push(telos / bare);
    }
  } finally {
    receivers.close();
  }
  return [
    { measure: 'deliveries/s', value: median(rates).toFixed(0), goal: '' },
    { measure: 'deliveries/s ÷ bare undici loop', value: median(ratios).toFixed(2), goal: '≥ 0.5' },
  ];
}

/** POSTs a second of an undici loop with the same bodies, TLS and connections, and nothing else. */
async function bareRate(receivers: Receivers, authority: Certificate): Promise<number> {
  await receivers.reset();
  const pools = receivers.urls.map(
    (url) =>
      new Pool(new URL(url).origin, {
        connections: connections / origins,
        connect: { ca: authority.certPem },
      }),
  );
  const body = JSON.stringify({ task: 'bench', phase: 'Succeeded', results: { response: 'r'.repeat(600) } });
  const started = performance.now();
  await inParallel(posts, connections, async (n) => {
    const answer = await pools[n % origins]?.request({
      method: 'POST',
      path: '/hooks',
      body,
      headers: { 'content-type': 'application/json', 'webhook-id': randomUUID() },
    });
    await answer?.body.dump();
  });
  const rate = posts / ((performance.now() - started) / 1000);
  await Promise.all(pools.map((pool) => pool.close()));
  return rate;
}

/** POSTs a second of the report room over Tasks that have just ended, until every one is settled. */
async function telosRate(receivers: Receivers, authority: Certificate): Promise<number> {
  await receivers.reset();
  const store = await openStore(join(temporaryFolder(), 'telos.db'));
  await inParallel(posts, 256, async (n) => {
    const name = `task-${n}`;
    await store.create(taskDraft(name, receivers.urls[n % origins]));
    await store.patch('Task', { namespace: 'default', name }, endedStatus(), { subresource: 'status' });
  });
  const reached = receivers.reached(posts);
  const started = performance.now();
  const running = reportingEngine(store, authority);
  await reached;
  // Stopping writes what is still to be written: it belongs to the work.
  await running.stop();
  const rate = posts / ((performance.now() - started) / 1000);
  const { items } = await store.list('Delivery');
  const settled = items.filter((delivery) => delivery.status?.phase === 'Delivered').length;
  await store.close();
  if (settled !== posts) throw new Error(`${settled} of ${posts} Deliveries are Delivered`);
  return rate;
}
