import { closeSync, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { StoreError } from '../errors.ts';
import { Connection } from './connection.ts';
import { checkOwnership, migrate } from './migrations.ts';
import { secondNameOf } from './one-name.ts';
import { isBusy, toStoreError } from './sqlite-errors.ts';

/** How long opening waits for processes that open, migrate or close the same file. */
const openPatienceMs = 15_000;

/** How long one statement may hold up the event loop for another process; longer waits are timers. */
const busyTimeoutMs = 25;

/**
 * Opens the database file, making it (mode 0600, it holds Secrets) and its folder (0700) when they are not there.
 * @throws StoreError `Unavailable` saying what is wrong with the path and what to do.
 */
export async function openFile(path: string, log: Logger): Promise<Connection> {
  if (path === '' || path.includes('\0')) throw unavailable(path, 'this is not a path; name a file');
  const file = resolve(path);
  await prepareFile(file, log);
  const deadline = Date.now() + openPatienceMs;
  for (;;) {
    let connection: Connection | undefined;
    try {
      connection = new Connection(file, busyTimeoutMs);
      prepareDatabase(connection);
      return connection;
    } catch (thrown) {
      connection?.close();
      if (!isBusy(thrown) || Date.now() > deadline) throw toStoreError(thrown, file);
    }
    await delay(5 + Math.random() * 20);
  }
}

function prepareDatabase(connection: Connection): void {
  checkOwnership(connection);
  // Room for two of the usual resources in a page. Counts when the file is made.
  connection.pragma('page_size = 8192');
  // In KiB: the indexes of 100,000 resources stay in memory.
  connection.pragma('cache_size = -16384');
  const mode = connection.pragma('journal_mode = WAL');
  if (mode !== 'wal') {
    throw unavailable(
      connection.path,
      'its file system has no shared memory (a network drive?); use a local disk',
    );
  }
  // FULL: what was acknowledged survives a power cut too.
  connection.pragma('synchronous = FULL');
  connection.pragma('journal_size_limit = 67108864');
  migrate(connection);
}

async function prepareFile(file: string, log: Logger): Promise<void> {
  const present = await stat(file).catch((thrown: unknown) => {
    const code = errorCode(thrown);
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR')
      throw unavailable(file, 'a part of the path is a file, not a folder; choose another path');
    throw unavailable(file, `cannot be looked at (${code ?? toError(thrown).message})`);
  });
  if (present === undefined || (present.isFile() && present.size === 0)) await checkNoLog(file);
  if (present === undefined) return makeFile(file);
  if (present.isDirectory()) throw unavailable(file, 'is a folder; name a file in it, such as telos.db');
  if (!present.isFile()) throw unavailable(file, 'is not a regular file; choose another path');
  const second = secondNameOf(file, present);
  if (second !== undefined) throw unavailable(file, second);
  if ((present.mode & 0o077) !== 0) {
    log.warn('other users of this machine may read the store, which holds Secrets: run chmod 600', {
      path: file,
    });
  }
}

/** Beside an empty file SQLite would throw the log away, and with it what was written last. */
async function checkNoLog(file: string): Promise<void> {
  const log = `${file}-wal`;
  if ((await sizeOf(log)) === 0) return;
  // Another process may have made both in between: the file always before its log.
  if ((await sizeOf(file)) > 0) return;
  throw unavailable(
    file,
    `is empty or gone, but its log ${log} is not; put the file back beside it, or move the log away to begin anew`,
  );
}

/** 0 when it is not there. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}

async function makeFile(file: string): Promise<void> {
  const folder = dirname(file);
  try {
    makeFolder(folder);
    // In one go: closing any descriptor of the file later on would drop the locks SQLite holds on it here.
    closeSync(openSync(file, 'wx', 0o600));
  } catch (thrown) {
    const code = errorCode(thrown) ?? toError(thrown).message;
    if (code === 'EEXIST') return;
    throw unavailable(
      file,
      `cannot be made (${code}); see that ${folder} is a folder this user may write to, or choose another path`,
    );
  }
}

function unavailable(path: string, why: string): StoreError {
  return new StoreError('Unavailable', `store ${path}: ${why}`);
}
