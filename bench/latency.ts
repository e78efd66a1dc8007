import type { Row } from './main.ts';
import { median, quantile } from './numbers.ts';
import { discard, settledDeliveries } from './prepared-store.ts';
import { endedStatus, instant, taskDraft } from './resources.ts';
import { Settled } from './settled.ts';
import { openStore, type Receivers, reportingEngine } from './stand.ts';

const completions = 300;
const warmUps = 50;
const runs = 5;
const few = 100;

/** From the write of a terminal phase to the arrival of the POST, in an idle engine; and what one completion costs. */
export async function latency(receivers: Receivers, many: number): Promise<Row[]> {
  const middle: number[] = [];
  const worst: number[] = [];
  const ratios: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const withMany = await idleEngine(receivers, many);
    const withFew = await idleEngine(receivers, few);
    const costs = { many: [] as number[], few: [] as number[] };
    await receivers.reset();
    // One here, one there: whatever else the machine does meets both.
    for (let n = -warmUps; n < completions; n += 1) {
      if (n === 0) await receivers.reset();
      const order = n % 2 === 0 ? (['many', 'few'] as const) : (['few', 'many'] as const);
      for (const which of order) {
        const cost = await (which === 'many' ? withMany : withFew).complete(`timed-${n + warmUps}`);
        if (n >= 0) costs[which].push(cost);
      }
    }
    const { waits } = await receivers.report();
    middle.push(quantile(waits, 0.5));
    worst.push(quantile(waits, 0.99));
    ratios.push(median(costs.many) / median(costs.few));
    await withMany.stop();
    await withFew.stop();
  }
  return [
    { measure: 'phase → POST idle, p50 (ms)', value: median(middle).toFixed(1), goal: '≤ 5' },
    { measure: 'phase → POST idle, p99 (ms)', value: median(worst).toFixed(1), goal: '≤ 25' },
    {
      measure: `one completion, phase → settled, with ${many} Tasks and Deliveries kept ÷ with ${few}`,
      value: median(ratios).toFixed(2),
      goal: '≤ 1.2',
    },
  ];
}

interface IdleEngine {
  /** Milliseconds from the write of a Task's phase until its Delivery is settled. */
  complete(name: string): Promise<number>;
  stop(): Promise<void>;
}

async function idleEngine(receivers: Receivers, kept: number): Promise<IdleEngine> {
  const path = await settledDeliveries(kept, receivers.urls);
  const store = await openStore(path);
  const running = reportingEngine(store, receivers.caPem);
  await running.engine.started(AbortSignal.timeout(60_000));
  const { resourceVersion } = await store.list('Delivery', { limit: 1 });
  const settled = new Settled(store, resourceVersion);
  return {
    async complete(name) {
      await store.create(taskDraft(name, receivers.urls[0]));
      const settling = settled.of(name);
      const began = performance.now();
      const status = endedStatus({ at: instant() });
      await store.patch('Task', { namespace: 'default', name }, status, { subresource: 'status' });
      await settling;
      return performance.now() - began;
    },
    async stop() {
      settled.stop();
      await running.stop();
      await store.close();
      discard(path);
    },
  };
}
