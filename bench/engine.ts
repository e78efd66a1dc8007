// An engine in a process of its own, so that its memory is its own and its start is a start.
// Started by fork(): told where its store is, it works; told to stop, it writes what is left and tells its peak.
import { openStore, reportingEngine } from './stand.ts';

export interface EngineOrder {
  readonly path: string;
  readonly caPem: string;
}

export interface EngineReport {
  /** The most memory that was resident, in MB. */
  readonly peakMb: number;
}

process.on('disconnect', () => process.exit());
process.once('message', (order: EngineOrder) => void work(order));

async function work({ path, caPem }: EngineOrder): Promise<void> {
  const store = await openStore(path);
  const running = reportingEngine(store, caPem);
  await new Promise((resolve) => process.once('message', resolve));
  await running.stop();
  const report: EngineReport = { peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6 };
  await store.close();
  process.send?.(report);
}
