import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { keepFinished } from './latency.ts';
import type { Row } from './main.ts';
import { median, openStore, temporaryFolder } from './stand.ts';

const runs = 5;

/** From the start of `telos up` to ready, and its memory then, with many finished Tasks kept. */
export async function start(kept: number): Promise<Row[]> {
  const path = join(temporaryFolder(), 'telos.db');
  const store = await openStore(path);
  await keepFinished(store, kept);
  await store.close();
  const seconds: number[] = [];
  const megabytes: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const measured = await startOnce(path);
    seconds.push(measured.seconds);
    megabytes.push(measured.megabytes);
  }
  return [
    {
      measure: `start to ready with ${kept} Tasks kept (s)`,
      value: median(seconds).toFixed(2),
      goal: '≤ 10',
    },
    {
      measure: `RSS when ready with ${kept} Tasks kept (MB)`,
      value: median(megabytes).toFixed(0),
      goal: '≤ 400',
    },
  ];
}

async function startOnce(path: string): Promise<{ seconds: number; megabytes: number }> {
  const program = process.env['TELOS_BENCH_PROGRAM'] ?? 'dist/telos.js';
  const started = performance.now();
  const child = spawn(process.execPath, [program, 'up', '--port', '0', '--store', `sqlite:${path}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TELOS_LOG_FORMAT: 'json' },
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
