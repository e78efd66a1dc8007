import type { Kind } from '../../api/kinds.ts';
import type { Key } from '../store.ts';
import type { Connection } from './connection.ts';
import { decodeResource, Revision, type RevisionRow, type StoredResource } from './revision.ts';
import { SnapshotCache } from './snapshot-cache.ts';

/** Reads of the tables that more than one part of the store needs. */
export class Tables {
  readonly connection: Connection;
  readonly cache = new SnapshotCache();

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
  read(kind: Kind, key: Key): StoredResource | undefined {
    const rv = this.versionOf(kind, key);
    if (rv === undefined) return undefined;
    const cached = this.cache.get(rv);
    if (cached !== undefined) return cached;
    const row = this.connection.first<{ rv: number; json: string }>(
      'SELECT rv, json FROM object JOIN revision USING (rv) WHERE object.kind = ? AND object.namespace = ? AND object.name = ?',
      kind,
      key.namespace,
      key.name,
    );
    if (row === undefined) return undefined;
    const resource = decodeResource(row.json, row.rv);
    this.cache.put(row.rv, resource, row.json.length);
    return resource;
  }

  /** A resource as it was at a version, or undefined when it was not there. */
  readAsOf(kind: Kind, key: Key, version: number): StoredResource | undefined {
    const row = this.connection.first<{ rv: number; type: string; json: string }>(
      'SELECT rv, type, json FROM revision WHERE kind = ? AND namespace = ? AND name = ? AND rv <= ? ORDER BY rv DESC LIMIT 1',
      kind,
      key.namespace,
      key.name,
      version,
    );
    if (row === undefined || row.type === 'D') return undefined;
    return this.cache.get(row.rv) ?? decodeResource(row.json, row.rv);
  }

  /** Changes in (after, upTo], oldest first; of all kinds, or of one. */
  revisions(after: number, upTo: number, limit: number, kind?: Kind): Revision[] {
    const rows =
      kind === undefined
        ? this.connection.all<RevisionRow & Record<string, string | number>>(
            'SELECT rv, type, kind, namespace, name, json FROM revision WHERE rv > ? AND rv <= ? ORDER BY rv LIMIT ?',
            after,
            upTo,
            limit,
          )
        : this.connection.all<RevisionRow & Record<string, string | number>>(
            'SELECT rv, type, kind, namespace, name, json FROM revision WHERE rv > ? AND rv <= ? AND kind = ? ORDER BY rv LIMIT ?',
            after,
            upTo,
            kind,
            limit,
          );
    return rows.map((row) => new Revision(row, () => this.readAsOf(row.kind, row, row.rv - 1)));
  }

  #number(sql: string): number {
    return Number(Object.values(this.connection.first(sql) ?? {})[0] ?? 0);
  }
}
