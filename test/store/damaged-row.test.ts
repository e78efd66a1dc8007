import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { openThreadedStore } from '../../src/store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { buildStoreThread } from '../support/store-thread.ts';

let folder: string;
let path: string;
let store: ResourceStore | undefined;
const errors: string[] = [];
const log: Logger = { ...silentLogger, error: (message) => void errors.push(message) };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-row-'));
  path = join(folder, 'telos.db');
  errors.length = 0;
  const whole = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  for (const name of ['good', 'bad']) {
    await whole.create<'Task'>({
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { name, namespace: 'default' },
      spec: { type: 'command', command: ['true'], prompt: 'p' },
    });
  }
  await whole.close();
  const database = new Database(path);
  database.exec(`UPDATE revision SET json = substr(json, 1, 20) WHERE name = 'bad'`);
  database.close();
});

afterEach(async () => {
  await store?.close();
  await rm(folder, { recursive: true, force: true });
});

const modes: readonly (readonly [mode: string, open: () => Promise<ResourceStore>])[] = [
  ['this thread', () => openSqliteStore({ path, clock: systemClock, log })],
  [
    'a thread of its own',
    async () =>
      openThreadedStore({
        path,
        log,
        threadPath: await buildStoreThread(),
        onLost: (e) => errors.push(e.message),
      }),
  ],
];
const finders: readonly (readonly [call: string, find: (store: ResourceStore) => Promise<unknown>])[] = [
  ['get', (found) => found.get('Task', { namespace: 'default', name: 'bad' })],
  ['list', (found) => found.list('Task')],
  ['watch', (found) => found.watch('Task', { resourceVersion: '2' })[Symbol.asyncIterator]().next()],
];

for (const [mode, open] of modes) {
  it.each(finders)(
    `a row that is not JSON, found by %s in ${mode}, makes the store Damaged, said once`,
    async (...[, find]) => {
      store = await open();
      await store.ping();
      const damaged = { code: 'Damaged', message: expect.stringContaining('restore it from a backup') };
      await expect(find(store)).rejects.toMatchObject(damaged);
      await expect(find(store)).rejects.toMatchObject(damaged);
      await expect(store.ping()).rejects.toMatchObject(damaged);
      expect((await store.get('Task', { namespace: 'default', name: 'good' })).metadata.name).toBe('good');
      expect(errors).toEqual(['the store is in trouble']);
    },
  );
}
