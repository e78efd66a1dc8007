import { type BigIntStats, statSync } from 'node:fs';

/** The file is not where it was. SQLite has a code for that, but asks only where it keeps a rollback journal. */
export class MovedFileError extends Error {
  readonly code = 'SQLITE_READONLY_DBMOVED';
}

/**
 * Where a database file is. SQLite goes on with a file that was removed or replaced, and says that all is well; what is
 * written to it then is gone when it is closed.
 */
export class FilePlace {
  readonly #path: string;
  readonly #dev: bigint;
  readonly #ino: bigint;

  /** The file must be there. */
  constructor(path: string) {
    this.#path = path;
    const { dev, ino } = statSync(path, { bigint: true });
    this.#dev = dev;
    this.#ino = ino;
  }

  /** @throws MovedFileError when something else, or nothing, has its name */
  check(): void {
    const now: BigIntStats | undefined = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (now?.ino !== this.#ino || now.dev !== this.#dev) throw new MovedFileError('the file was moved');
  }
}
