import Database from 'better-sqlite3';

export type SqlValue = string | number | null;
export type Row = Readonly<Record<string, SqlValue>>;

/**
 * The little that Telos needs of an SQLite driver. Statements are prepared once and kept: preparing costs more
 * than running. Throws what the driver throws: see `toStoreError`.
 */
export class Connection {
  readonly path: string;
  readonly #database: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  constructor(path: string, busyTimeoutMs: number) {
    this.path = path;
    this.#database = new Database(path, { timeout: busyTimeoutMs });
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction;
  }

  /** Runs a statement that answers nothing. Returns how many rows it changed and the last rowid. */
  run(sql: string, ...values: readonly SqlValue[]): { readonly changes: number; readonly rowid: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(...values);
    return { changes, rowid: Number(lastInsertRowid) };
  }

  first<R extends Row = Row>(sql: string, ...values: readonly SqlValue[]): R | undefined {
    return this.#prepare(sql).get(...values) as R | undefined;
  }

  all<R extends Row = Row>(sql: string, ...values: readonly SqlValue[]): R[] {
    return this.#prepare(sql).all(...values) as R[];
  }

  /** Runs several statements, none of them kept. */
  script(sql: string): void {
    this.#database.exec(sql);
  }

  /** The value of a pragma, after setting it when the text says so. */
  pragma(text: string): unknown {
    return this.#database.pragma(text, { simple: true });
  }

  /** Reads several times from one and the same state. */
  snapshot<T>(read: () => T): T {
    this.run('BEGIN');
    try {
      return read();
    } finally {
      if (this.inTransaction) this.run('COMMIT');
    }
  }

  rollback(): void {
    // Some failures (disk full, I/O) make SQLite roll back by itself.
    if (this.inTransaction) this.run('ROLLBACK');
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
