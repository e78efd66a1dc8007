import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ResourceStore } from '../src/store/store.ts';
import type { Row } from './main.ts';
import {
  endedStatus,
  inParallel,
  loopbackCertificate,
  median,
  openStore,
  quantile,
  reportingEngine,
  taskDraft,
  temporaryFolder,
} from './stand.ts';

const completions = 300;
const runs = 5;

/** From the write of a terminal phase to the arrival of the POST, in an idle engine; with few and many Tasks kept. */
export async function latency(kept: number): Promise<Row[]> {
  const few = await Promise.all([prepare(100)]);
  const many = await prepare(kept);
  const waits: number[] = [];
  const ratios: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const withFew = await measure(few[0], run);
    const withMany = await measure(many, run);
    waits.push(...withFew);
    ratios.push(mean(withMany) / mean(withFew));
  }
  return [
    { measure: 'phase → POST idle, p50 (ms)', value: median(waits).toFixed(2), goal: '≤ 5' },
    { measure: 'phase → POST idle, p99 (ms)', value: quantile(waits, 0.99).toFixed(2), goal: '≤ 25' },
    {
      measure: `one completion with ${kept} kept ÷ with 100`,
      value: median(ratios).toFixed(2),
      goal: '≤ 1.2',
    },
  ];
}

/** A store file with so many finished Tasks whose Deliveries are settled. */
async function prepare(kept: number): Promise<string> {
  const path = join(temporaryFolder(), 'telos.db');
  const store = await openStore(path);
  await keepFinished(store, kept);
  await store.close();
  return path;
}

/** Fills a store with finished Tasks. */
export async function keepFinished(store: ResourceStore, count: number): Promise<void> {
  await inParallel(count, 512, async (n) => {
    const name = `kept-${n}`;
    await store.create(taskDraft(name));
    await store.patch('Task', { namespace: 'default', name }, endedStatus(), { subresource: 'status' });
  });
}

async function measure(path: string, run: number): Promise<number[]> {
  const { authority, certificate } = await loopbackCertificate();
  const arrived = new Map<string, (at: number) => void>();
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (request, response) => {
    const at = performance.now();
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      response.writeHead(204).end();
      arrived.get((JSON.parse(body) as { task: string }).task)?.(at);
    });
  });
  const url = await listen(server);
  const store = await openStore(path);
  const running = reportingEngine(store, authority);
  await running.engine.started(AbortSignal.timeout(60_000));
  const waits: number[] = [];
  for (let n = -20; n < completions; n += 1) {
    const name = `timed-${run}-${n + 20}`;
    await store.create(taskDraft(name, url));
    const arrival = new Promise<number>((resolve) => arrived.set(name, resolve));
    const before = performance.now();
    await store.patch('Task', { namespace: 'default', name }, endedStatus(), { subresource: 'status' });
    const wait = (await arrival) - before;
    if (n >= 0) waits.push(wait);
  }
  await running.stop();
  await store.close();
  server.closeAllConnections();
  server.close();
  return waits;
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    );
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
