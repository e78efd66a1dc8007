// An engine in a process of its own, so that its memory is its own.
// Started by fork(): told where a store is, it works; told to stop, it writes what is left and tells its peak.
import { once } from 'node:events';
import { keepHeapSmall } from '../src/cli/heap-growth.ts';
import { openStore, reportingEngine } from './stand.ts';

export interface EngineOrder {
  readonly path: string;
  readonly caPem: string;
}

export interface EngineReport {
  /** The most memory that was resident, in MB. */
  readonly peakMb: number;
}

// As `telos up` does.
keepHeapSmall();
process.on('disconnect', () => process.exit());
process.on('message', (message: EngineOrder | 'stop') => {
  if (message !== 'stop') void work(message);
});

async function work({ path, caPem }: EngineOrder): Promise<void> {
  const store = await openStore(path);
  const running = reportingEngine(store, caPem);
  while ((await once(process, 'message'))[0] !== 'stop');
  await running.stop();
  await store.close();
  const report: EngineReport = { peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6 };
  process.send?.(report);
}
