import { errorCode, toError } from '../../base/errors.ts';
import { StoreError } from '../errors.ts';

/** Whether SQLite says that another process has the file just now. */
export function isBusy(thrown: unknown): boolean {
  const code = errorCode(thrown);
  return code !== undefined && (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'));
}

/** Whether something was thrown by SQLite itself. */
export function isSqliteError(thrown: unknown): boolean {
  return errorCode(thrown)?.startsWith('SQLITE_') === true;
}

/** What SQLite's result codes mean to whoever runs Telos: what is wrong, and what to do. First match counts. */
const troubles: readonly (readonly [code: string, what: string])[] = [
  ['SQLITE_FULL', 'the disk is full; free some space, no restart is needed'],
  [
    'SQLITE_READONLY_DBMOVED',
    'its file was moved, removed or replaced; put the same file back, or stop Telos and start it with the new one',
  ],
  ['SQLITE_READONLY', 'it cannot be written; give this user the right to write the file and its folder'],
  ['SQLITE_PERM', 'access is not permitted; give this user the right to read and write the file'],
  ['SQLITE_AUTH', 'access is not permitted; give this user the right to read and write the file'],
  ['SQLITE_CANTOPEN', 'it cannot be opened; see that its folder is there and can be written by this user'],
  [
    'SQLITE_NOTADB',
    'it is not an SQLite database, or its beginning was overwritten; choose another path, or restore it from a backup',
  ],
  [
    'SQLITE_CORRUPT',
    'it is damaged; restore it from a backup, or move it away together with its -wal and -shm files to begin anew',
  ],
  ['SQLITE_BUSY', 'another process keeps it locked; end that process or wait for it'],
  ['SQLITE_LOCKED', 'another process keeps it locked; end that process or wait for it'],
  ['SQLITE_IOERR', 'reading or writing it failed; see that the disk has space and is healthy'],
];

/** A row that is not what was written there. SQLite itself checks the structure of a file, not what it holds. */
export class DamagedRowError extends Error {
  readonly code = 'SQLITE_CORRUPT';
}

/** The state of this version is not what was written. */
export function notJson(rv: number, cause?: unknown): DamagedRowError {
  return new DamagedRowError(`version ${rv} is not JSON`, { cause });
}

/** Turns what SQLite threw into `Unavailable` or `Damaged`, with what, where and the remedy; everything else is passed on. */
export function toStoreError(thrown: unknown, path: string): Error {
  if (thrown instanceof StoreError) return thrown;
  const code = errorCode(thrown);
  const what = troubles.find(([prefix]) => code?.startsWith(prefix))?.[1];
  if (code === undefined || !code.startsWith('SQLITE_')) return toError(thrown);
  const reason = what ?? `SQLite failed: ${toError(thrown).message}`;
  const outcome = code.startsWith('SQLITE_CORRUPT') ? 'Damaged' : 'Unavailable';
  return new StoreError(outcome, `store ${path}: ${reason} (${code})`, { cause: thrown });
}
