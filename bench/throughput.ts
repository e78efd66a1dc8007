import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { inParallel } from './in-parallel.ts';
import type { Row } from './main.ts';
import { median } from './numbers.ts';
import { discard, endedTasks } from './prepared-store.ts';
import { payloadBody } from './resources.ts';
import { type EngineProcess, type Receivers, startEngine } from './stand.ts';

/** Enough of each for some seconds, so that connecting and warming up count for little. */
const barePosts = 60_000;
const deliveries = 8_000;
const runs = 5;
const connections = 64;

/** Deliveries a second, durable record and status of each included, against a bare HTTP client. */
export async function throughput(receivers: Receivers): Promise<Row[]> {
  const ratios: number[] = [];
  const rates: number[] = [];
  const engine = await startEngine();
  // Both sides are processes that have run for a while: the first round does not count.
  for (let run = 0; run <= runs; run += 1) {
    // Who goes first takes turns: a machine that gets slower or quicker favours neither.
    const bareFirst = run % 2 === 0;
    const before = bareFirst ? await bareRate(receivers) : undefined;
    const telos = await steadyRate(engine, receivers, deliveries);
    const bare = before ?? (await bareRate(receivers));
    if (run === 0) continue;
    rates.push(telos);
    ratios.push(telos / bare);
  }
  engine.close();
  return [
    { measure: 'deliveries/s', value: median(rates).toFixed(0), goal: '' },
    { measure: 'deliveries/s ÷ bare undici loop', value: median(ratios).toFixed(2), goal: '≥ 0.5' },
  ];
}

/** POSTs a second of an undici loop with the same bodies, headers, TLS and connections, and nothing else. */
async function bareRate(receivers: Receivers): Promise<number> {
  const bodies = Array.from({ length: 1000 }, (_, n) => payloadBody(`task-${n}`));
  await receivers.reset();
  const began = performance.now();
  const pools = receivers.urls.map(
    (url) =>
      new Pool(new URL(url).origin, {
        connections: connections / receivers.urls.length,
        connect: { ca: receivers.caPem },
      }),
  );
  await inParallel(barePosts, connections, async (n) => {
    const answer = await pools[n % pools.length]?.request({
      method: 'POST',
      path: '/hooks',
      body: bodies[n % bodies.length] ?? '',
      headers: {
        'user-agent': 'telos/bench',
        'accept-encoding': 'identity',
        'content-type': 'application/json',
        'webhook-id': randomUUID(),
        'webhook-timestamp': '1700000000',
        'telos-attempt': '1',
      },
    });
    await answer?.body.dump();
  });
  const rate = barePosts / ((performance.now() - began) / 1000);
  await Promise.all(pools.map((pool) => pool.close()));
  return rate;
}

/** Deliveries a second over Tasks that have just ended: record, mark, POST and status of each. */
export async function steadyRate(
  engine: EngineProcess,
  receivers: Receivers,
  count: number,
): Promise<number> {
  const path = await endedTasks(count, receivers.urls);
  const { rate } = await engine.workOff(receivers, { path }, count);
  discard(path);
  return rate;
}
