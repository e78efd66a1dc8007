import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import { startEngine } from './engine-process.ts';
import { fastClock } from './fast-clock.ts';
import type { Stand, StandOptions } from './stand.ts';

/** A file, which nothing happens to but its engines. */
export async function openSqliteStand({ folder, caFile }: StandOptions): Promise<Stand> {
  const startedAt = Date.now();
  const path = join(folder, 'telos.db');
  // Stores live by the machine's own clock, as the engines' do.
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  const storeName = `sqlite:${path}`;
  return {
    clock: fastClock(startedAt),
    store,
    storeName,
    env: {},
    trouble: undefined,
    sharing: undefined,
    startEngine: (start) => startEngine({ storeName, caFile, startedAt }, start),
    close: () => store.close(),
  };
}
