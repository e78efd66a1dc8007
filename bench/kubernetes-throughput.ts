import { Pool } from 'undici';
import { type BenchCluster, width } from './cluster.ts';
import { inParallel } from './in-parallel.ts';
import type { Row } from './main.ts';
import { median } from './numbers.ts';
import { serialRate } from './serial-reporter.ts';
import { type EngineProcess, type Receivers, startEngine } from './stand.ts';

const completions = 1_000;
const barePatches = 1_000;
const serialTasks = 200;
const throttledTasks = 60;
const runs = 5;

/** Completions a second against what the API server itself can write, and against serial reporters. */
export async function kubernetesThroughput(cluster: BenchCluster, receivers: Receivers): Promise<Row[]> {
  const measured: Measured[] = [];
  const engine = await startEngine();
  // All sides have run for a while: the first round does not count.
  for (let run = 0; run <= runs; run += 1) {
    const one = await measure(cluster, engine, receivers);
    if (run > 0) measured.push(one);
  }
  engine.close();
  const row = (measure: string, of: (one: Measured) => number, digits: number, goal = ''): Row => ({
    measure,
    value: median(measured.map(of)).toFixed(digits),
    goal,
  });
  return [
    row('completions/s', ({ rate }) => rate, 0),
    row('writes per completion', ({ writes }) => writes, 2, '≤ 3'),
    row('reads per completion', ({ reads }) => reads, 2),
    row(
      'completions/s ÷ (bare patches/s ÷ writes per completion)',
      ({ rate, wall, writes }) => rate / (wall / writes),
      2,
      '≥ 0.7',
    ),
    row(
      'the same while the Tasks end: completions/s ÷ (bare patches/s ÷ (writes per completion + 1))',
      ({ liveRate, wall, writes }) => liveRate / (wall / (writes + 1)),
      2,
      '≥ 0.7',
    ),
    row('completions/s ÷ serial reporter without throttle', ({ rate, serial }) => rate / serial, 1, '≥ 2'),
    row(
      'completions/s ÷ serial reporter at 20 queries a second',
      ({ rate, throttled }) => rate / throttled,
      1,
      '≥ 10',
    ),
    row('CPU of the engine per completion (ms)', ({ engineCpuMs }) => engineCpuMs, 1),
    row('CPU of the API server per completion (ms)', ({ serverCpuMs }) => serverCpuMs, 1),
    row('CPU of the API server per bare patch (ms)', ({ barePatchCpuMs }) => barePatchCpuMs, 1),
    row('bare patches/s', ({ wall }) => wall, 0),
  ];
}

interface Measured {
  /** Completions a second, of Tasks that have ended before. */
  readonly rate: number;
  /** Completions a second, from the first change of a status on: each Task's own is one write more. */
  readonly liveRate: number;
  readonly writes: number;
  readonly reads: number;
  /** Per completion, milliseconds. */
  readonly engineCpuMs: number;
  readonly serverCpuMs: number;
  /** Of the API server, per bare patch, milliseconds. */
  readonly barePatchCpuMs: number;
  /** Bare patches a second. */
  readonly wall: number;
  readonly serial: number;
  readonly throttled: number;
}

async function measure(
  cluster: BenchCluster,
  engine: EngineProcess,
  receivers: Receivers,
): Promise<Measured> {
  const [place, other] = [await cluster.namespace(), await cluster.namespace()];
  await cluster.fillEnded(place.namespace, completions, receivers.urls);
  await cluster.fillEnded(other.namespace, serialTasks + throttledTasks, receivers.urls);
  const serial = await serialRate(cluster, receivers, other.namespace, serialTasks, false);
  // Half before and half after: a machine that gets slower or quicker favours neither.
  const wallBefore = await bareRate(cluster, other.namespace);
  const before = await cluster.requests();
  const { rate, cpuMs } = await engine.workOff(receivers, place, completions);
  const after = await cluster.requests();
  const wallAfter = await bareRate(cluster, other.namespace);
  const afterBare = await cluster.requests();
  const live = await cluster.namespace();
  await cluster.fill(live.namespace, completions, receivers.urls);
  const { rate: liveRate } = await engine.workOff(receivers, live, completions, () =>
    cluster.endAll(live.namespace, completions),
  );
  const throttled = await serialRate(cluster, receivers, other.namespace, throttledTasks, true);
  return {
    rate,
    liveRate,
    writes: (after.writes - before.writes) / completions,
    reads: (after.reads - before.reads) / completions,
    engineCpuMs: cpuMs / completions,
    serverCpuMs: (after.cpuMs - before.cpuMs) / completions,
    barePatchCpuMs: (afterBare.cpuMs - after.cpuMs) / barePatches,
    wall: 2 / (1 / wallBefore + 1 / wallAfter),
    serial,
    throttled,
  };
}

/** Merge patches a second over 32 connections: what the API server and its etcd can write, with nobody else there. */
async function bareRate({ connection }: BenchCluster, namespace: string): Promise<number> {
  const { server, ca, token } = connection;
  const pool = new Pool(server, { connections: width, connect: { ca: ca ?? '' } });
  const began = performance.now();
  await inParallel(barePatches, width, async (n) => {
    const answer = await pool.request({
      method: 'PATCH',
      path: `/apis/kelos.dev/v1alpha2/namespaces/${namespace}/tasks/task-${n % serialTasks}`,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' },
      body: `{"metadata":{"annotations":{"bench":"${began + n}"}}}`,
    });
    await answer.body.dump();
    if (answer.statusCode !== 200) throw new Error(`a bare patch was answered with ${answer.statusCode}`);
  });
  const rate = barePatches / ((performance.now() - began) / 1000);
  await pool.close();
  return rate;
}
