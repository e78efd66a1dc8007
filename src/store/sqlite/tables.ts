import type { Kind } from '../../api/kinds.ts';
import type { Key } from '../store.ts';
import type { Connection } from './connection.ts';
import { Revision, type RevisionRow } from './revision.ts';
import { State } from './state.ts';
import { StateCache } from './state-cache.ts';

/** Reads of the tables that more than one part of the store needs. */
export class Tables {
  readonly connection: Connection;
  readonly cache = new StateCache(8_000_000);

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** The newest version that any resource has. */
  currentVersion(): number {
    return this.#number("SELECT seq AS value FROM sqlite_sequence WHERE name = 'revision'");
  }

  /** Everything up to this version may be missing from the history. */
  compactedVersion(): number {
    return this.#number("SELECT value FROM meta WHERE key = 'compacted'");
  }

  /** Whether there are owners whose dependents still have to go. */
  hasGarbage(): boolean {
    return this.connection.first('SELECT 1 FROM garbage LIMIT 1') !== undefined;
  }

  /** Changes whenever another connection commits; never by our own commits. */
  foreignCommits(): number {
    return this.#number('PRAGMA data_version');
  }

  /** The version of a resource now, or undefined. */
  versionOf(kind: Kind, key: Key): number | undefined {
    return this.connection.first<{ rv: number }>(
      'SELECT rv FROM object WHERE kind = ? AND namespace = ? AND name = ?',
      kind,
      key.namespace,
      key.name,
    )?.rv;
  }

  /** A resource as it is now, or undefined. */
  read(kind: Kind, key: Key): State | undefined {
    // Another process may take the row away between the two reads: then look once more.
    for (;;) {
      const rv = this.versionOf(kind, key);
      if (rv === undefined) return undefined;
      const state = this.readVersion(rv, 'keep');
      if (state !== undefined) return state;
    }
  }

  /** The state that a version is, or undefined when it is no longer kept. */
  readVersion(rv: number, keep?: 'keep'): State | undefined {
    const cached = this.cache.get(rv);
    if (cached !== undefined) return cached;
    const json = this.connection.first<{ json: string }>('SELECT json FROM revision WHERE rv = ?', rv)?.json;
    if (json === undefined) return undefined;
    const state = new State(rv, json);
    if (keep !== undefined) this.cache.put(state);
    return state;
  }

  /** Changes in (after, upTo], oldest first; of all kinds, or of one. */
  revisions(after: number, upTo: number, limit: number, kind?: Kind): Revision[] {
    const rows =
      kind === undefined
        ? this.connection.all<RevisionRow & { json: string } & Record<string, string | number>>(
            'SELECT rv, type, kind, namespace, name, prev, json FROM revision WHERE rv > ? AND rv <= ? ORDER BY rv LIMIT ?',
            after,
            upTo,
            limit,
          )
        : this.connection.all<RevisionRow & { json: string } & Record<string, string | number>>(
            'SELECT rv, type, kind, namespace, name, prev, json FROM revision WHERE rv > ? AND rv <= ? AND +kind = ? ORDER BY rv LIMIT ?',
            after,
            upTo,
            kind,
            limit,
          );
    return rows.map(
      (row) => new Revision(row, new State(row.rv, row.json), () => this.readVersion(row.prev)),
    );
  }

  #number(sql: string): number {
    return Number(Object.values(this.connection.first(sql) ?? {})[0] ?? 0);
  }
}
