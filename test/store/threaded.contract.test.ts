import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { openThreadedStore } from '../../src/store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { buildStoreThread } from '../support/store-thread.ts';
import { storeContract } from './contract.ts';

let folder: string;
let store: ResourceStore;
let opened = 0;

// One thread for all: starting it takes longer than most of the promises.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-thread-'));
  const onLost = (error: Error): void => {
    throw error;
  };
  const threadPath = await buildStoreThread();
  store = await openThreadedStore({ path: join(folder, 'telos.db'), log: silentLogger, threadPath, onLost });
});

afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

storeContract('SQLite in a thread of its own', async () => {
  opened += 1;
  return { store, namespace: `a-${opened}`, otherNamespace: `b-${opened}`, close: async () => {} };
});
