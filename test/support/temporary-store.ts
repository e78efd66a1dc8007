import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';

/** A store in a throw-away folder. `close` closes it and removes the folder. */
export async function temporaryStore(
  options: { readonly clock?: Clock; readonly log?: Logger } = {},
): Promise<{ readonly store: ResourceStore; readonly path: string; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-store-'));
  const path = join(folder, 'telos.db');
  const { clock = systemClock, log = silentLogger } = options;
  const store = await openSqliteStore({ path, clock, log });
  return {
    store,
    path,
    async close() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
