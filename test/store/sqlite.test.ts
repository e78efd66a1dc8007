import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Draft } from '../../src/api/kinds.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { eventLifetimeMs, historyRevisions } from '../../src/store/sqlite/compactor.ts';
import { acquireEngineLock } from '../../src/store/sqlite/engine-lock.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { untilGone } from '../support/until.ts';
import { compacted } from './compacted.ts';
import { ownerOf, refused, seen, take, taskDraft } from './contract.ts';

let folder: string;
let path: string;
const opened: ResourceStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-sqlite-'));
  path = join(folder, 'telos.db');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true, force: true });
});

async function openStore(file = path, clock: Clock = systemClock): Promise<ResourceStore> {
  const store = await openSqliteStore({ path: file, clock, log: silentLogger });
  opened.push(store);
  return store;
}

async function closeStore(store: ResourceStore): Promise<void> {
  opened.splice(opened.indexOf(store), 1);
  await store.close();
}

const key = (name: string): { namespace: string; name: string } => ({ namespace: 'default', name });
const create = (store: ResourceStore, name: string): Promise<unknown> =>
  store.create<'Task'>(taskDraft({ name }));
const touch = (store: ResourceStore, name: string, value: string): Promise<unknown> =>
  store.patch('Task', key(name), { metadata: { annotations: { value } } });
const listNames = async (store: ResourceStore): Promise<string[]> =>
  (await store.list('Task')).items.map((item) => item.metadata.name);

describe('the file', () => {
  test('is made for its owner only, with the folders on the way to it', async () => {
    const deep = join(folder, 'a', 'b', 'telos.db');
    const store = await openStore(deep);
    await create(store, 'a');
    for (const file of [deep, `${deep}-wal`, `${deep}-shm`]) {
      expect((await stat(file)).mode & 0o777, file).toBe(0o600);
    }
    expect((await stat(join(folder, 'a', 'b'))).mode & 0o777).toBe(0o700);
  });

  test('keeps what was written', async () => {
    const store = await openStore();
    const created = await store.create<'Task'>(taskDraft({ name: 'a', labels: { x: 'y' } }));
    await store.delete('Task', (await store.create<'Task'>(taskDraft({ name: 'b' }))).metadata);
    await closeStore(store);
    const again = await openStore();
    expect((await again.list('Task', { labelSelector: 'x=y' })).items).toEqual([created]);
    const next = await again.create<'Task'>(taskDraft({ name: 'c' }));
    expect(Number(next.metadata.resourceVersion)).toBe(Number(created.metadata.resourceVersion) + 3);
  });

  test.each([
    ['a folder', 'is a folder', () => mkdir(path)],
    ['a text', 'is not an SQLite database', () => writeFile(path, 'hello')],
    ['a long text', 'is not an SQLite database', () => writeFile(path, 'hello '.repeat(10_000))],
    ["another program's database", 'belongs to another program', () => foreignDatabase('CREATE TABLE t (a)')],
    [
      'a database with another id',
      'belongs to another program',
      () => foreignDatabase('PRAGMA application_id = 77'),
    ],
    [
      'a file below a file',
      'is a file, not a folder',
      async () => {
        await writeFile(join(folder, 'file'), '');
        path = join(folder, 'file', 'telos.db');
      },
    ],
    [
      'no file at all',
      'is not a path',
      async () => {
        path = '';
      },
    ],
  ])('%s is refused in one line', async (_, reason, make) => {
    await make();
    const before = await readFile(path).catch(() => undefined);
    const error = await refused('Unavailable', openStore());
    expect(error.message).toContain(reason);
    expect(error.message).toContain(path);
    expect(await readFile(path).catch(() => undefined)).toEqual(before);
  });

  test.runIf(process.getuid?.() !== 0)('a folder that cannot be written is refused in one line', async () => {
    await chmod(folder, 0o500);
    const error = await refused('Unavailable', openStore());
    await chmod(folder, 0o700);
    expect(error.message).toContain('cannot be made (EACCES)');
  });

  test('the file of a newer Telos is refused and left as it is', async () => {
    await closeStore(await openStore());
    const database = new Database(path);
    database.pragma('user_version = 99');
    database.close();
    const error = await refused('Unavailable', openStore());
    expect(error.message).toContain('was written by a newer Telos (version 99, this one knows 2)');
    expect(error.message).toContain('upgrade Telos or use another file');
  });

  test('a damaged file is Damaged, with the remedy', async () => {
    const store = await openStore();
    for (let index = 0; index < 50; index += 1) await create(store, `t${index}`);
    await closeStore(store);
    await truncate(path, 8192);
    const trouble = openStore().then((damaged) => damaged.list('Task'));
    const error = await refused('Damaged', trouble);
    expect(error.message).toContain('restore it from a backup');
  });

  test.each([
    ['moved', (file: string) => rename(file, `${file}.old`)],
    [
      'replaced',
      async (file: string) => {
        await rename(file, `${file}.old`);
        await copyFile(`${file}.old`, file);
      },
    ],
  ])('a file that is %s takes no write, says so, and does again when it is back', async (_what, move) => {
    const store = await openStore();
    await create(store, 'before');
    await move(path);
    const message = expect.stringContaining(
      'its file was moved, removed or replaced; put the same file back',
    );
    const refused = { code: 'Unavailable', message };
    await expect(create(store, 'lost')).rejects.toMatchObject(refused);
    await expect(store.ping()).rejects.toMatchObject(refused);
    await rename(`${path}.old`, path);
    await store.ping();
    await create(store, 'after');
    expect(await listNames(store)).toEqual(['after', 'before']);
  });

  test('an empty file, as a crash may leave it, is taken', async () => {
    await writeFile(path, '');
    await create(await openStore(), 'a');
  });

  test('openings at the same time run the migrations once', async () => {
    const stores = await Promise.all(Array.from({ length: 5 }, () => openStore()));
    await Promise.all(stores.map((store, index) => create(store, `t${index}`)));
    for (const store of stores) expect(await listNames(store)).toEqual(['t0', 't1', 't2', 't3', 't4']);
  });

  test('after close every call is Unavailable, and closing again is fine', async () => {
    const store = await openStore();
    const written = create(store, 'a');
    const watching = take(store, { resourceVersion: '1' }, 2);
    const ended = expect(watching).rejects.toThrow('ended after');
    await store.close();
    await store.close();
    await written;
    await ended;
    await refused('Unavailable', store.ping());
    await refused('Unavailable', store.get('Task', key('a')));
    await refused('Unavailable', create(store, 'b'));
    await refused('Unavailable', take(store, { resourceVersion: '1' }, 1));
    expect(await listNames(await openStore())).toEqual(['a']);
  });
});

describe('group commit', () => {
  test('writes handed over together are one transaction; a refused one does not disturb the others', async () => {
    const store = await openStore();
    const other = new Database(path, { readonly: true });
    const commits = (): unknown => other.pragma('data_version', { simple: true });
    await create(store, 'taken');
    const before = commits();
    const outcomes = await Promise.allSettled([
      create(store, 'a'),
      create(store, 'taken'),
      touch(store, 'a', '1'),
      store.patch('Task', key('a'), { spec: { suspend: 'no' } }),
      store.delete('Task', key('none')),
      store.patch('Task', key('a'), { metadata: { resourceVersion: '1' } }),
      create(store, 'b'),
      store.delete('Task', key('b')),
      create(store, 'b'),
    ]);
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'ok' : outcome.reason.code))).toEqual([
      'ok',
      'AlreadyExists',
      'ok',
      'Invalid',
      'NotFound',
      'Conflict',
      'ok',
      'ok',
      'ok',
    ]);
    expect(Number(commits()) - Number(before)).toBe(1);
    other.close();
    expect(await listNames(store)).toEqual(['a', 'b', 'taken']);
  });

  test('writes wait for another process that has the file, and the event loop goes on meanwhile', async () => {
    const store = await openStore();
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const writes = Promise.all(['a', 'b', 'c'].map((name) => create(store, name)));
    let settled = false;
    void writes.then(() => {
      settled = true;
    });
    // Several turns with timers: enough for several tries.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(settled).toBe(false);
    await store.get('Task', key('a')).catch((error) => expect(error.code).toBe('NotFound'));
    other.exec('COMMIT');
    other.close();
    await writes;
    expect(await listNames(store)).toEqual(['a', 'b', 'c']);
  });

  test('a write given up before its turn does not happen', async () => {
    const store = await openStore();
    const abort = new AbortController();
    const reason = new Error('enough');
    const given = store.create<'Task'>(taskDraft({ name: 'a' }), { signal: abort.signal });
    abort.abort(reason);
    await expect(given).rejects.toBe(reason);
    await create(store, 'b');
    expect(await listNames(store)).toEqual(['b']);
  });
});

describe('two openings of one file', () => {
  test('see each other, in one order, nothing skipped and nothing twice', async () => {
    const [one, two] = [await openStore(), await openStore()];
    const resourceVersion = (await one.list('Task')).resourceVersion;
    const count = 60;
    const watches = [one, two].map((store) => take(store, { resourceVersion }, count));
    await Promise.all(
      Array.from({ length: count }, (_, index) => create(index % 2 === 0 ? one : two, `t${index}`)),
    );
    const [ofOne, ofTwo] = (await Promise.all(watches)).map((events) =>
      events.map((event) => ('resource' in event ? event.resource : undefined)),
    );
    expect(ofOne).toEqual(ofTwo);
    const versions = ofOne?.map((resource) => Number(resource?.metadata.resourceVersion)) ?? [];
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(new Set(ofOne?.map((resource) => resource?.metadata.name)).size).toBe(count);
  });

  test('a watch may begin at a version that only the other has written', async () => {
    const [one, two] = [await openStore(), await openStore()];
    const ending = new AbortController();
    const first = take(one, { resourceVersion: '1', signal: ending.signal }, 100);
    const ended = expect(first).rejects.toThrow('ended after');
    const created = await two.create<'Task'>(taskDraft({ name: 'a' }));
    const events = take(one, { resourceVersion: created.metadata.resourceVersion }, 1);
    await create(two, 'b');
    expect((await events).map(seen)).toEqual(['ADDED b']);
    ending.abort();
    await ended;
  });

  test('a selector sees what the other changed', async () => {
    const [one, two] = [await openStore(), await openStore()];
    const events = take(one, { resourceVersion: '1', labelSelector: 'on=y' }, 2);
    await two.create<'Task'>(taskDraft({ name: 'a', labels: { on: 'y' } }));
    await two.patch('Task', key('a'), { metadata: { labels: { on: null } } });
    expect((await events).map(seen)).toEqual(['ADDED a', 'DELETED a']);
  });
});

describe('watches far behind', () => {
  test('read the history from the table, all of it', async () => {
    const store = await openStore();
    const watch = store.watch('Task', { resourceVersion: '1' })[Symbol.asyncIterator]();
    await create(store, 'a');
    expect((await watch.next()).value).toMatchObject({ type: 'ADDED' });
    const writes = 10_000;
    for (let from = 0; from < writes; from += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, index) => touch(store, 'a', `${from + index}`)));
    }
    let next = 0;
    while (next < writes) {
      const { value } = await watch.next();
      expect(value.resource.metadata.annotations.value).toBe(`${next}`);
      next += 1;
    }
    await watch.return?.();
  });

  test('are Gone when the version is not of this store', async () => {
    const store = await openStore();
    await refused('Gone', take(store, { resourceVersion: '1000000' }, 1));
  });
});

describe('history', () => {
  test('that is old goes: versions and tokens of that time are Gone, resources stay', async () => {
    const clock = new ManualClock();
    const store = await openStore(path, clock);
    for (const name of ['a', 'b', 'c', 'gone']) await create(store, name);
    await store.delete('Task', key('gone'));
    const page = await store.list('Task', { limit: 1 });
    await compacted(clock, store, 'a');
    await refused('Gone', store.list('Task', { limit: 1, continue: page.continue }));
    await refused('Gone', take(store, { resourceVersion: page.resourceVersion }, 1));
    expect(await listNames(store)).toEqual(['a', 'b', 'c']);
    const database = new Database(path, { readonly: true });
    const rows = database.prepare('SELECT count(*) FROM revision WHERE name = ?').pluck();
    expect(rows.get('gone')).toBe(0);
    expect(rows.get('b')).toBe(1);
    expect(rows.get('a')).toBeLessThan(historyRevisions + 100);
    database.close();
    await store.patch('Task', key('b'), { metadata: { labels: { still: 'here' } } });
    expect(await store.get('Task', key('b'))).toMatchObject({ metadata: { labels: { still: 'here' } } });
  });

  test('Events go after an hour', async () => {
    const clock = new ManualClock();
    const store = await openStore(path, clock);
    const event = (name: string): Draft<'Event'> => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: 'default' },
      involvedObject: { kind: 'Task', name: 'a', namespace: 'default' },
      type: 'Normal',
      reason: 'Test',
      message: 'a message',
    });
    await store.create<'Event'>(event('old'));
    clock.advance(eventLifetimeMs - 60_000);
    await store.create<'Event'>(event('young'));
    clock.advance(120_000);
    await untilGone(store, 'Event', key('old'));
    expect((await store.list('Event')).items.map((item) => item.metadata.name)).toEqual(['young']);
  });
});

describe('owners', () => {
  test('of kinds that are not kept here count as there', async () => {
    const store = await openStore();
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'some-uid' };
    await store.create<'Task'>(taskDraft({ name: 'a', ownerReferences: [owner] }));
    const parent = await store.create<'Task'>(taskDraft({ name: 'parent' }));
    await store.create<'Task'>(taskDraft({ name: 'b', ownerReferences: [ownerOf(parent)] }));
    await store.delete('Task', key('parent'));
    await untilGone(store, 'Task', key('b'));
    expect(await listNames(store)).toEqual(['a']);
  });

  test('of thousands take them along', async () => {
    const store = await openStore();
    const owner = await store.create<'Task'>(taskDraft({ name: 'owner' }));
    const ownerReferences = [ownerOf(owner)];
    await Promise.all(
      Array.from({ length: 1000 }, (_, index) =>
        store.create<'Task'>(taskDraft({ name: `t${index}`, ownerReferences })),
      ),
    );
    await store.delete('Task', key('owner'));
    // Closing finishes what was handed over, the collection included.
    await closeStore(store);
    expect(await listNames(await openStore())).toEqual([]);
  });

  test('that went just before a crash are cleaned up after', async () => {
    const store = await openStore();
    const owner = await store.create<'Task'>(taskDraft({ name: 'owner' }));
    await store.create<'Task'>(taskDraft({ name: 'a', ownerReferences: [ownerOf(owner)] }));
    await closeStore(store);
    const database = new Database(path);
    // As a process leaves it that ends right after the commit of the deletion.
    database.exec("DELETE FROM object WHERE name = 'owner'");
    database.prepare('INSERT INTO garbage VALUES (?)').run(owner.metadata.uid);
    database.close();
    await untilGone(await openStore(), 'Task', key('a'));
  });
});

describe('stricter than a Kubernetes API server', () => {
  test('a kind that does not exist is refused by name', async () => {
    const store = await openStore();
    const error = await refused('Invalid', store.list('Pod' as 'Task'));
    expect(error.message).toContain('"Pod" is not a kind');
    await refused('Invalid', store.create({ kind: 'Pod', metadata: { name: 'a' } } as unknown as Draft));
  });

  test('what is not JSON is refused', async () => {
    const store = await openStore();
    const loop: Record<string, unknown> = {};
    loop['loop'] = loop;
    await refused('Invalid', store.patch('Task', key('a'), loop));
    await refused('Invalid', store.patch('Task', key('a'), { a: 1n }));
    await refused('Invalid', store.create<'Task'>(undefined as unknown as Draft<'Task'>));
  });

  test('a resource over 1.5 MiB is refused', async () => {
    const store = await openStore();
    const draft = taskDraft({ name: 'a' });
    const big = { ...draft, spec: { ...draft.spec, prompt: 'x'.repeat(1_600_000) } };
    const error = await refused('Invalid', store.create<'Task'>(big));
    expect(error.message).toMatch(/the most is 1572864/);
  });

  test('a patch cannot reach prototypes', async () => {
    const store = await openStore();
    await create(store, 'a');
    const patch = JSON.parse('{"metadata": {"labels": {"__proto__": {"x": "y"}}}, "__proto__": {"z": 1}}');
    await store.patch('Task', key('a'), patch);
    expect(({} as { z?: number }).z).toBeUndefined();
    expect((await store.get('Task', key('a'))).metadata.labels).toBeUndefined();
  });
});

describe('the engine lock', () => {
  test('is held once, under any name of the store, and says by whom', async () => {
    await closeStore(await openStore());
    const lock = acquireEngineLock(path);
    await symlink(path, join(folder, 'link.db'));
    for (const name of [path, join(folder, 'link.db')]) {
      const again = new Promise((resolve) => resolve(acquireEngineLock(name)));
      const error = await refused('Unavailable', again);
      expect(error.message).toContain('another engine');
      expect(error.message).toContain(`process ${process.pid} since `);
    }
    lock.release();
    acquireEngineLock(path).release();
  });

  test('does not keep others from the store', async () => {
    const lock = acquireEngineLock(path);
    await create(await openStore(), 'a');
    lock.release();
  });
});

function foreignDatabase(sql: string): Promise<void> {
  const database = new Database(path);
  database.exec(sql);
  database.close();
  return Promise.resolve();
}
