import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { resources } from '../../src/store/sqlite/migrations/001-resources.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-migration-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const secret = (name: string, labels: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name,
    namespace: 'default',
    uid: `uid-${name}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels,
  },
  type: 'Opaque',
});

it('a file of version 1 keeps its resources, and its history for watches and lists under way', async () => {
  const path = join(folder, 'telos.db');
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.exec(resources);
  database.pragma(`application_id = ${0x54454c4f}`);
  database.pragma('user_version = 1');
  const append = database.prepare(
    "INSERT INTO revision (kind, namespace, name, type, at, json) VALUES ('Secret', 'default', ?, ?, ?, ?)",
  );
  const change = (name: string, type: string, labels: Record<string, string>): number =>
    Number(append.run(name, type, Date.now(), JSON.stringify(secret(name, labels))).lastInsertRowid);
  const first = change('a', 'A', { is: 'old' });
  change('gone', 'A', {});
  const last = change('a', 'M', { is: 'new' });
  change('gone', 'D', {});
  database
    .prepare(
      "INSERT INTO object (kind, namespace, name, rv, uid) VALUES ('Secret', 'default', 'a', ?, 'uid-a')",
    )
    .run(last);
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  try {
    expect((await store.list('Secret')).items.map(({ metadata }) => metadata.labels)).toEqual([
      { is: 'new' },
    ]);
    // What left a selection is shown as it was before: that takes the chain of its history.
    const watch = store
      .watch('Secret', { resourceVersion: String(first), labelSelector: 'is=old' })
      [Symbol.asyncIterator]();
    const { value: event } = await watch.next();
    await watch.return?.();
    expect(event).toMatchObject({ type: 'DELETED', resource: { metadata: { labels: { is: 'old' } } } });
    // A process of the older version, which has the file open still, must not go on writing what has no history.
    expect(() => change('a', 'M', { is: 'late' })).toThrow('NOT NULL constraint failed: revision.prev');
  } finally {
    database.close();
    await store.close();
  }
});
