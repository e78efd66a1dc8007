import type { BenchCluster } from './cluster.ts';
import type { Row } from './main.ts';
import { median, quantile } from './numbers.ts';
import { instant } from './resources.ts';
import { Settled } from './settled.ts';
import { openPlace, type Receivers, reportingEngine } from './stand.ts';

const completions = 300;
const warmUps = 50;
const runs = 5;

/** From the write of a terminal phase, through the API server, to the arrival of the POST, in an idle engine. */
export async function kubernetesLatency(cluster: BenchCluster, receivers: Receivers): Promise<Row[]> {
  const middle: number[] = [];
  const worst: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const waits = await measure(cluster, receivers);
    middle.push(quantile(waits, 0.5));
    worst.push(quantile(waits, 0.99));
  }
  return [
    { measure: 'phase → POST idle, p50 (ms)', value: median(middle).toFixed(1), goal: '≤ 30' },
    { measure: 'phase → POST idle, p99 (ms)', value: median(worst).toFixed(1), goal: '≤ 150' },
  ];
}

/** Milliseconds of each completion, one at a time. */
async function measure(cluster: BenchCluster, receivers: Receivers): Promise<readonly number[]> {
  const place = await cluster.namespace();
  const { namespace } = place;
  await cluster.fill(namespace, warmUps + completions, receivers.urls);
  const store = await openPlace(place);
  const running = reportingEngine(store, receivers.caPem, namespace);
  await running.engine.started(AbortSignal.timeout(60_000));
  const { resourceVersion } = await cluster.store.list('Delivery', { namespace, limit: 1 });
  const settled = new Settled(cluster.store, resourceVersion);
  for (let n = 0; n < warmUps + completions; n += 1) {
    if (n === warmUps) await receivers.reset();
    const settling = settled.of(`task-${n}`);
    await cluster.end(namespace, `task-${n}`, { at: instant() });
    await settling;
  }
  const { waits } = await receivers.report();
  settled.stop();
  await running.stop();
  await store.close();
  return waits;
}
