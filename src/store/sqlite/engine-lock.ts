import { accessSync, closeSync, constants, openSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errorCode } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { rfc3339 } from '../../base/text.ts';
import { StoreError } from '../errors.ts';
import { Connection } from './connection.ts';
import { isBusy, toStoreError } from './sqlite-errors.ts';

/** Holds the right to be the one engine of a store. The operating system takes it back when the process ends. */
export interface EngineLock {
  release(): void;
}

/** How long another process may take to say that it holds the lock. */
const busyTimeoutMs = 100;

/**
 * Makes this process the only engine of the store at `path`: other programs may use the store, other engines may not.
 * It is an open write transaction in a second database beside it, so that even kill -9 frees it.
 * @throws StoreError `Unavailable` naming the process that has it, or saying that nobody here may write it.
 */
export function acquireEngineLock(path: string): EngineLock {
  checkWritable(path);
  const file = lockPath(path);
  let connection: Connection | undefined;
  try {
    makePrivate(file);
    connection = new Connection(file, busyTimeoutMs);
    hold(connection, path);
  } catch (thrown) {
    connection?.close();
    throw toStoreError(thrown, file);
  }
  const held = connection;
  return { release: () => held.close() };
}

/** Whoever may open the file could hold the lock. Only when it is not there: closing it would drop our own lock. */
function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown;
  }
}

/** One that can be read only is opened all the same, and would fail at the first write. */
function checkWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return;
    throw new StoreError(
      'Unavailable',
      `store ${path}: it cannot be written (${errorCode(thrown)}); give this user the right to write the file and its folder, or choose another path`,
    );
  }
}

function lockPath(path: string): string {
  const file = resolve(path);
  try {
    // Two names of one store (links) are one store.
    return `${realpathSync(file)}.lock`;
  } catch {
    makeFolder(dirname(file));
    return `${join(realpathSync(dirname(file)), basename(file))}.lock`;
  }
}

function hold(connection: Connection, path: string): void {
  const self = `${process.pid} since ${rfc3339(Date.now() - process.uptime() * 1000)}`;
  for (;;) {
    // Who holds it must be on record before it is held: what is written while holding it, nobody else sees.
    begin(connection, path);
    connection.script('CREATE TABLE IF NOT EXISTS holder (one INTEGER PRIMARY KEY, process TEXT NOT NULL)');
    connection.run('INSERT OR REPLACE INTO holder VALUES (1, ?)', self);
    connection.run('COMMIT');
    begin(connection, path);
    if (readHolder(connection) === self) return;
    // Another one put its name there in between, and will now find the lock taken: put ours back.
    connection.rollback();
  }
}

function begin(connection: Connection, path: string): void {
  try {
    connection.run('BEGIN IMMEDIATE');
  } catch (thrown) {
    if (!isBusy(thrown)) throw thrown;
    const holder = readHolder(connection);
    const who = holder === undefined ? '' : ` (process ${holder})`;
    throw new StoreError(
      'Unavailable',
      `store ${path}: another engine${who} works on it; stop that one, or give this one another store`,
    );
  }
}

function readHolder(connection: Connection): string | undefined {
  try {
    return connection.first<{ process: string }>('SELECT process FROM holder')?.process;
  } catch {
    return undefined;
  }
}
