// An engine in a process of its own, so that its memory is its own.
// Started by fork(): told where a store is, it works; told to stop, it writes what is left and tells its peak.
import { once } from 'node:events';
import { keepHeapSmall } from '../src/cli/heap-growth.ts';
import { openPlace, reportingEngine, type StorePlace } from './stand.ts';

export interface EngineOrder {
  readonly place: StorePlace;
  readonly caPem: string;
}

export interface EngineReport {
  /** The most memory that was resident, in MB. */
  readonly peakMb: number;
  /** CPU time since the order, milliseconds. */
  readonly cpuMs: number;
}

// As `telos up` does.
keepHeapSmall();
process.on('disconnect', () => process.exit());
process.on('message', (message: EngineOrder | 'stop') => {
  if (message !== 'stop') void work(message);
});

async function work({ place, caPem }: EngineOrder): Promise<void> {
  const cpuBefore = process.cpuUsage();
  const store = await openPlace(place);
  const running = reportingEngine(store, caPem, 'namespace' in place ? place.namespace : undefined);
  while ((await once(process, 'message'))[0] !== 'stop');
  await running.stop();
  await store.close();
  const { user, system } = process.cpuUsage(cpuBefore);
  const report: EngineReport = {
    peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
    cpuMs: (user + system) / 1000,
  };
  process.send?.(report);
}
