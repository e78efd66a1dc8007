import { setTimeout as sleep } from 'node:timers/promises';
import { inParallel } from './in-parallel.ts';
import type { Row } from './main.ts';
import { median, quantile } from './numbers.ts';
import { discard, preparedStore } from './prepared-store.ts';
import { endedStatus, instant, taskDraft } from './resources.ts';
import { openStore, type Receivers, reportingEngine, startReceivers } from './stand.ts';

const origins = 40;
const hangingOrigins = origins / 10;
const perSecond = 200;
const seconds = 10;
/** The first connections and code that was never run before are not what is asked about. */
const warmUpSeconds = 2;
/** Short enough that attempts time out, and breakers open, within a run. */
const timeoutSeconds = 5;
const runs = 5;

/** What healthy receivers notice of others that take every POST and never answer. */
export async function hanging(): Promise<Row[]> {
  const sick = await startReceivers(origins, hangingOrigins);
  const well = await startReceivers(origins);
  const withSick: number[] = [];
  const ratios: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const first = run % 2 === 0 ? await p99(sick, hangingOrigins) : undefined;
    const without = await p99(well, 0);
    const among = first ?? (await p99(sick, hangingOrigins));
    withSick.push(among);
    ratios.push(among / without);
  }
  sick.close();
  well.close();
  return [
    {
      measure: "healthy receivers' p99 with 10 % of origins hanging (ms)",
      value: median(withSick).toFixed(1),
      goal: '',
    },
    {
      measure: "healthy receivers' p99 with 10 % of origins hanging ÷ without",
      value: median(ratios).toFixed(2),
      goal: '≤ 1.5',
    },
  ];
}

/**
 * Completions at a steady pace, spread over all origins; the p99 of the milliseconds from phase to POST at those
 * origins that are healthy in both cases. Long enough for attempts to time out and breakers to open.
 */
async function p99(receivers: Receivers, hangs: number): Promise<number> {
  const count = perSecond * seconds;
  const path = await preparedStore(`pending ${receivers.urls[0]}`, (store) =>
    inParallel(
      count,
      512,
      async (n) =>
        void (await store.create(taskDraft(`task-${n}`, receivers.urls[n % origins], { timeoutSeconds }))),
    ),
  );
  const store = await openStore(path);
  const running = reportingEngine(store, receivers.caPem);
  await running.engine.started(AbortSignal.timeout(60_000));
  await receivers.reset();
  const began = performance.now();
  const writes: Promise<unknown>[] = [];
  for (let n = 0; n < count; n += 1) {
    const dueIn = began + (n * 1000) / perSecond - performance.now();
    if (dueIn > 0) await sleep(dueIn);
    const key = { namespace: 'default', name: `task-${n}` };
    // What is late because the process had no time for it counts as late.
    const isTimed = n >= perSecond * warmUpSeconds && n % origins >= hangingOrigins;
    const at = isTimed ? { at: instant(Math.min(0, dueIn)) } : {};
    writes.push(store.patch('Task', key, endedStatus(at), { subresource: 'status' }));
  }
  await Promise.all(writes);
  await receivers.reached(count - (count * hangs) / origins);
  const { waits } = await receivers.report();
  await running.stop();
  await store.close();
  discard(path);
  return quantile(waits, 0.99);
}
