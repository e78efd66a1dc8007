import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Draft } from '../../src/api/kinds.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openThreadedStore } from '../../src/store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { buildStoreThread } from '../support/store-thread.ts';

let folder: string;
let opened: ResourceStore[];
let lost: Error[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-thread-'));
  opened = [];
  lost = [];
});
afterEach(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await rm(folder, { recursive: true, force: true });
});

async function open(threadPath: string, path = join(folder, 'telos.db')): Promise<ResourceStore> {
  const onLost = (error: Error): void => void lost.push(error);
  const store = await openThreadedStore({ path, log: silentLogger, threadPath, onLost });
  opened.push(store);
  return store;
}

const task = (name: string, prompt = 'p'): Draft<'Task'> => ({
  apiVersion: 'kelos.dev/v1alpha2',
  kind: 'Task',
  metadata: { name, namespace: 'default' },
  spec: { type: 'command', command: ['true'], prompt },
});

describe('a store in a thread of its own', () => {
  it('says in one line why a file cannot be opened', async () => {
    const path = join(folder, 'not-a-database');
    await writeFile(path, 'x'.repeat(8192));
    await expect(open(await buildStoreThread(), path)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringMatching(/^store .*not-a-database: .*not an SQLite database.*$/),
    });
  });

  it('says so when its program is missing', async () => {
    await expect(open(join(folder, 'nowhere.js'))).rejects.toMatchObject({ code: 'Unavailable' });
  });

  it('refuses every call, and tells its owner once, when the thread ends', async () => {
    const program = join(folder, 'dies.mjs');
    await writeFile(
      program,
      `import { parentPort } from 'node:worker_threads';
parentPort.on('message', () => process.exit(3));
parentPort.postMessage({ states: [], replies: [{ is: 'opened', path: 'x.db' }] });
`,
    );
    const store = await open(program);
    const watching = store.watch('Task', { resourceVersion: '1' })[Symbol.asyncIterator]().next();
    const calls = [store.get('Task', { namespace: 'default', name: 'a' }), store.create(task('a')), watching];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'Unavailable' });
    await expect(store.ping()).rejects.toMatchObject({
      code: 'Unavailable',
      message: 'store x.db: its thread ended: exit code 3; start Telos again',
    });
    expect(lost).toHaveLength(1);
  });

  it('ends everything that waits when the thread dies while it is closed', async () => {
    const program = join(folder, 'dies-at-the-end.mjs');
    await writeFile(
      program,
      `import { parentPort } from 'node:worker_threads';
parentPort.on('message', (requests) => requests.some(({ call }) => call === 'close') && process.exit(4));
parentPort.postMessage({ states: [], replies: [{ is: 'opened', path: 'x.db' }] });
`,
    );
    const store = await open(program);
    opened.pop();
    const reading = store.get('Task', { namespace: 'default', name: 'a' }).catch((error: unknown) => error);
    const closing = store.close().catch((error: unknown) => error);
    expect(await reading).toMatchObject({ code: 'Unavailable' });
    expect(await closing).toMatchObject({ code: 'Unavailable' });
    expect(lost).toEqual([]);
  });

  it('keeps a dry run apart from what is stored', async () => {
    const store = await open(await buildStoreThread());
    const key = { namespace: 'default', name: 'a' };
    const created = await store.create(task('a', 'stored'));
    const patch = { metadata: { labels: { dry: 'yes' } } };
    const rehearsed = await store.patch('Task', key, patch, { dryRun: true });
    expect(rehearsed.metadata.labels).toEqual({ dry: 'yes' });
    expect(await store.get('Task', key)).toEqual(created);
  });

  it('hands a slow watcher every change in order, many more than travel at once', async () => {
    const store = await open(await buildStoreThread());
    const from = (await store.list('Task')).resourceVersion;
    const count = 6000;
    const seen: string[] = [];
    const watch = store.watch('Task', { resourceVersion: from })[Symbol.asyncIterator]();
    const first = watch.next();
    await Promise.all(Array.from({ length: count }, (_, n) => store.create(task(`t-${n}`))));
    for (let next = await first; !next.done; next = await watch.next()) {
      if (next.value.type !== 'BOOKMARK') seen.push(next.value.resource.metadata.resourceVersion);
      if (seen.length === count) break;
    }
    await watch.return?.();
    expect(seen.map(Number)).toEqual([...seen].map(Number).sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(count);
  });
});
