import { StoreError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { resources } from './migrations/001-resources.ts';
import { historyChain } from './migrations/002-history-chain.ts';

/** In order; number n brings the file to version n. Never change one that was released: add another. */
const migrations: readonly string[] = [resources, historyChain];

/** Stands in the header of every file of ours ("TELO"), so that another program's file is never written to. */
const applicationId = 0x54454c4f;

/**
 * Refuses what is not ours to write: another program's database, or one of a newer Telos.
 * @throws StoreError `Unavailable`.
 */
export function checkOwnership(connection: Connection): void {
  const application = Number(connection.pragma('application_id'));
  const version = Number(connection.pragma('user_version'));
  // A file that was made but not yet migrated (or a crash in between) is empty and nobody's.
  const empty = connection.first('SELECT 1 FROM sqlite_schema LIMIT 1') === undefined;
  if (application !== applicationId && !(application === 0 && empty)) {
    throw new StoreError(
      'Unavailable',
      `store ${connection.path}: this database belongs to another program; choose another path`,
    );
  }
  if (version > migrations.length) {
    throw new StoreError(
      'Unavailable',
      `store ${connection.path}: was written by a newer Telos (version ${version}, this one knows ${migrations.length}); upgrade Telos or use another file`,
    );
  }
}

/** Brings the file to the newest version. Processes that start together wait for one another. */
export function migrate(connection: Connection): void {
  if (Number(connection.pragma('user_version')) === migrations.length) return;
  connection.run('BEGIN EXCLUSIVE');
  try {
    // Another process may have been first: look again, now that nobody else can write.
    checkOwnership(connection);
    for (const migration of migrations.slice(Number(connection.pragma('user_version')))) {
      connection.script(migration);
    }
    connection.pragma(`application_id = ${applicationId}`);
    connection.pragma(`user_version = ${migrations.length}`);
    connection.run('COMMIT');
  } catch (thrown) {
    connection.rollback();
    throw thrown;
  }
}
