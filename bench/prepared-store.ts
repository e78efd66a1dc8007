import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onCompletionAnnotation } from '../src/api/names.ts';
import { systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import { draftDeliveries } from '../src/report/delivery-draft.ts';
import { parseHooks } from '../src/report/hooks-annotation.ts';
import { runOf } from '../src/report/run-id.ts';
import { isStoreError } from '../src/store/errors.ts';
import { historyRevisions } from '../src/store/sqlite/compactor.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../src/store/store.ts';
import { inParallel } from './in-parallel.ts';
import { deliveredStatus, endedStatus, recorded, retryingStatus, taskDraft } from './resources.ts';

/** Writes side by side while a store is filled. */
const width = 512;

const folder = mkdtempSync(join(tmpdir(), 'telos-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const prepared = new Map<string, Promise<string>>();
let copies = 0;

/** A fresh file to work on, removed when the bench ends. */
function freshPath(): string {
  copies += 1;
  return join(folder, `${copies}.db`);
}

/** A copy of a store that is filled when first asked for, `from` another if it is given. */
export async function preparedStore(
  name: string,
  fill: (store: ResourceStore) => Promise<void>,
  from?: () => Promise<string>,
): Promise<string> {
  let original = prepared.get(name);
  if (original === undefined) {
    original = prepare(fill, from === undefined ? freshPath() : await from());
    prepared.set(name, original);
  }
  const path = freshPath();
  copyFileSync(await original, path);
  return path;
}

/** Removes a copy that is done with. */
export function discard(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

/** Fills a file, then lets what was superseded in it go, as it would within minutes. */
async function prepare(fill: (store: ResourceStore) => Promise<void>, path: string): Promise<string> {
  let behindMs = 3_600_000;
  const store = await openSqliteStore({
    path,
    clock: { ...systemClock, now: () => Date.now() - behindMs },
    log: silentLogger,
  });
  await fill(store);
  behindMs = 0;
  const { resourceVersion } = await store.list('Task', { limit: 1 });
  await compacted(store, Number(resourceVersion) - historyRevisions - 1000);
  await store.close();
  return path;
}

/** Resolves when changes before this version are no longer kept. */
async function compacted(store: ResourceStore, version: number): Promise<void> {
  for (let isKept = version > 0; isKept; ) {
    await sleep(250);
    try {
      const changes = store.watch('Task', {
        resourceVersion: String(version),
        signal: AbortSignal.timeout(1),
      });
      for await (const _ of changes) break;
    } catch (thrown) {
      if (!isStoreError(thrown, 'Gone')) throw thrown;
      isKept = false;
    }
  }
}

/** Tasks that have ended, whose hooks have yet to be told. */
export function endedTasks(count: number, urls: readonly string[]): Promise<string> {
  return preparedStore(`ended ${count} ${urls[0]}`, (store) =>
    inParallel(count, width, async (n) => {
      const { metadata } = await store.create(taskDraft(`task-${n}`, urls[n % urls.length]));
      await store.patch('Task', metadata, endedStatus(), { subresource: 'status' });
    }),
  );
}

/** Tasks whose Deliveries were tried once, in vain, and are due again. */
export function dueDeliveries(count: number, urls: readonly string[]): Promise<string> {
  return preparedStore(`due ${count} ${urls[0]}`, (store) =>
    inParallel(count, width, async (n) => {
      const created = await store.create(recorded(taskDraft(`task-${n}`, urls[n % urls.length])));
      const task = await store.patch('Task', created.metadata, endedStatus(), { subresource: 'status' });
      const list = parseHooks(task.metadata.annotations?.[onCompletionAnnotation] ?? '');
      for (const draft of draftDeliveries(task, runOf(task, 'Succeeded'), list, { expired: false })) {
        const { metadata } = await store.create(draft);
        await store.patch('Delivery', metadata, { status: retryingStatus() }, { subresource: 'status' });
      }
    }),
  );
}

/** As many Tasks, all of whose Deliveries are settled. */
export function settledDeliveries(count: number, urls: readonly string[]): Promise<string> {
  const settle = async (store: ResourceStore): Promise<void> => {
    let token: string | undefined;
    do {
      const page = await store.list('Delivery', { limit: 1000, continue: token });
      await Promise.all(
        page.items.map(({ metadata }) =>
          store.patch('Delivery', metadata, { status: deliveredStatus() }, { subresource: 'status' }),
        ),
      );
      token = page.continue;
    } while (token !== undefined);
  };
  return preparedStore(`settled ${count} ${urls[0]}`, settle, () => dueDeliveries(count, urls));
}
