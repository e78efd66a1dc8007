import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Row } from './main.ts';
import { median } from './numbers.ts';
import { discard, settledDeliveries } from './prepared-store.ts';
import type { Receivers } from './stand.ts';

const runs = 5;

/** From the start of `telos up` to ready, and its memory then, with many finished Tasks and settled Deliveries kept. */
export async function start(receivers: Receivers, kept: number): Promise<Row[]> {
  const seconds: number[] = [];
  const megabytes: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const path = await settledDeliveries(kept, receivers.urls);
    const measured = await startOnce(['--store', `sqlite:${path}`]);
    discard(path);
    seconds.push(measured.seconds);
    megabytes.push(measured.megabytes);
  }
  const what = `with ${kept} Tasks and Deliveries kept`;
  return [
    { measure: `start to ready ${what} (s)`, value: median(seconds).toFixed(1), goal: '≤ 10' },
    { measure: `RSS when ready ${what} (MB)`, value: median(megabytes).toFixed(0), goal: '≤ 400' },
  ];
}

export interface Started {
  readonly seconds: number;
  /** Resident memory when ready. */
  readonly megabytes: number;
}

/** Starts `telos up` over a store, waits until it is ready, and stops it. */
export async function startOnce(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const program = process.env['TELOS_BENCH_PROGRAM'] ?? 'dist/telos.js';
  const started = performance.now();
  const child = spawn(process.execPath, [program, 'up', '--port', '0', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env, TELOS_LOG_FORMAT: 'json' },
  });
  try {
    let url = '';
    for await (const line of createInterface({ input: child.stderr })) {
      const entry = JSON.parse(line) as { msg: string; url?: string };
      url = entry.url ?? url;
      if (entry.msg === 'ready') break;
    }
    const seconds = (performance.now() - started) / 1000;
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const rss = Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)?.[1]);
    return { seconds, megabytes: rss / 1e6 };
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}
