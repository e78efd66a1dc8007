import { type Kind, kinds } from '../../api/kinds.ts';
import type { Key } from '../store.ts';
import type { Addition, Decision } from './decide-write.ts';
import { Revision, type RevisionType } from './revision.ts';
import { State, type StoredResource } from './state.ts';
import type { Tables } from './tables.ts';

/**
 * One write transaction: reads see what was written in it before. Every operation decides first (reading, and
 * throwing what it refuses) and writes last, so a refused one leaves no trace among the others; when writing
 * itself fails, SQLite is in trouble and the whole transaction is given up.
 */
export class Transaction {
  /** What was written so far, in order. */
  readonly revisions: Revision[] = [];
  readonly #tables: Tables;
  readonly #now: number;
  readonly #versions = new Map<number, State>();
  #isChanged = false;
  #hasGarbage = false;

  constructor(tables: Tables, now: number) {
    this.#tables = tables;
    this.#now = now;
  }

  /** Wall time of the transaction, milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** Whether there is anything to commit. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** Whether it left dependents without an owner. */
  get hasGarbage(): boolean {
    return this.#hasGarbage;
  }

  read(kind: Kind, key: Key): State | undefined {
    const rv = this.#tables.versionOf(kind, key);
    if (rv === undefined) return undefined;
    return this.#versions.get(rv) ?? this.#tables.readVersion(rv, 'keep');
  }

  /** Stores a new resource. */
  add({ resource, json }: Addition): State {
    return this.#put(undefined, resource, json);
  }

  /** Stores what was decided about a state; returns what it is then. */
  apply(before: State, decision: Decision): State {
    switch (decision.outcome) {
      case 'unchanged':
        return before;
      case 'put':
        return this.#put(before, decision.resource, decision.json);
      case 'remove':
        return this.#remove(before, decision.resource, decision.json);
    }
  }

  /** `after` belongs to the state from then on. */
  #put(before: State | undefined, after: StoredResource, json: string): State {
    const state = this.#append(before === undefined ? 'A' : 'M', before, after, json);
    const { connection } = this.#tables;
    const { rv } = state;
    const { kind, metadata } = after;
    if (before === undefined) {
      connection.run(
        'INSERT INTO object (kind, namespace, name, rv, uid) VALUES (?, ?, ?, ?, ?)',
        kind,
        metadata.namespace,
        metadata.name,
        rv,
        metadata.uid,
      );
    } else {
      connection.run(
        'UPDATE object SET rv = ? WHERE kind = ? AND namespace = ? AND name = ?',
        rv,
        kind,
        metadata.namespace,
        metadata.name,
      );
    }
    this.#versions.set(rv, state);
    this.#indexLabels(before?.resource, after);
    this.#indexOwners(before?.resource, after);
    return state;
  }

  /** Takes a resource out. `after` is its last state. Returns that with the version of the deletion. */
  #remove(before: State, after: StoredResource, json: string): State {
    const state = this.#append('D', before, after, json);
    const { connection } = this.#tables;
    const { namespace, name, uid } = after.metadata;
    connection.run(
      'DELETE FROM object WHERE kind = ? AND namespace = ? AND name = ?',
      after.kind,
      namespace,
      name,
    );
    this.#indexLabels(before.resource, undefined);
    this.#indexOwners(before.resource, undefined);
    // Dependents go after this commit; the row makes sure of it even if the process ends in between.
    const orphaned = connection.run(
      'INSERT OR IGNORE INTO garbage SELECT uid FROM owner WHERE uid = ? LIMIT 1',
      uid,
    );
    if (orphaned.changes > 0) this.#hasGarbage = true;
    return state;
  }

  /** Resources that name this uid among their owners, in order of their keys, after a given one. */
  dependents(uid: string, after: DependentKey | undefined, limit: number): DependentKey[] {
    return this.#tables.connection.all<DependentKey & Record<string, string>>(
      'SELECT kind, namespace, name FROM owner WHERE uid = ? AND (kind, namespace, name) > (?, ?, ?) ORDER BY kind, namespace, name LIMIT ?',
      uid,
      after?.kind ?? '',
      after?.namespace ?? '',
      after?.name ?? '',
      limit,
    );
  }

  /** Whether every owner of a resource is gone (or never was). Owners of kinds that are not kept here count as there. */
  isOrphan(resource: StoredResource): boolean {
    const owners = resource.metadata.ownerReferences ?? [];
    return owners.length > 0 && owners.every((owner) => this.#isAbsent(owner, resource.metadata.namespace));
  }

  /** An owner whose dependents have to go, if there is one. */
  nextGarbage(): string | undefined {
    return this.#tables.connection.first<{ uid: string }>('SELECT uid FROM garbage LIMIT 1')?.uid;
  }

  forgetGarbage(uid: string): void {
    this.#isChanged = true;
    this.#tables.connection.run('DELETE FROM garbage WHERE uid = ?', uid);
  }

  /** A change that means nothing: shows whether writing works. */
  touch(): void {
    this.#isChanged = true;
    // SQLite would not write a value that is the same.
    this.#tables.connection.run(
      "INSERT INTO meta VALUES ('touched', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1",
    );
  }

  /**
   * Keys of the Events that are older than `ageMs`, oldest first. What is as much ahead of the clock was written
   * while that was wrong, and counts as old.
   */
  eventsOlderThan(ageMs: number, limit: number): Key[] {
    return this.#tables.connection
      .all<{ namespace: string; name: string; at: number }>(
        "SELECT o.namespace, o.name, r.at FROM object o INDEXED BY event_age CROSS JOIN revision r ON r.rv = o.rv WHERE o.kind = 'Event' ORDER BY o.rv LIMIT ?",
        limit,
      )
      .filter(({ at }) => Math.abs(this.#now - at) > ageMs);
  }

  /**
   * Removes superseded states among the next `limit` versions, sparing those younger than `ageMs` and the newest
   * `keep`. What is as much ahead of the clock was written while that was wrong, and counts as old. Returns
   * whether there may be more to remove.
   */
  compact(ageMs: number, keep: number, limit: number): boolean {
    const { connection } = this.#tables;
    const from = this.#tables.compactedVersion();
    const end = Math.min(this.#tables.currentVersion() - keep, from + limit);
    if (end <= from) return false;
    const young = connection.first<{ rv: number | null }>(
      'SELECT min(rv) AS rv FROM revision WHERE rv > ? AND rv <= ? AND at > ? AND at < ?',
      from,
      end,
      this.#now - ageMs,
      this.#now + ageMs,
    )?.rv;
    const upTo = young === null || young === undefined ? end : young - 1;
    if (upTo <= from) return false;
    this.#isChanged = true;
    connection.run(
      'DELETE FROM revision WHERE rv IN (SELECT prev FROM revision WHERE rv > ? AND rv <= ?)',
      from,
      upTo,
    );
    connection.run("DELETE FROM revision WHERE rv > ? AND rv <= ? AND type = 'D'", from, upTo);
    connection.run("UPDATE meta SET value = ? WHERE key = 'compacted'", upTo);
    return upTo === from + limit;
  }

  #isAbsent(
    owner: { apiVersion: string; kind: string; name: string; uid: string },
    namespace: string,
  ): boolean {
    if (!isKept(owner)) return false;
    const row = this.#tables.connection.first<{ uid: string }>(
      'SELECT uid FROM object WHERE kind = ? AND namespace = ? AND name = ?',
      owner.kind,
      namespace,
      owner.name,
    );
    return row?.uid !== owner.uid;
  }

  #append(type: RevisionType, before: State | undefined, after: StoredResource, json: string): State {
    this.#isChanged = true;
    const { kind, metadata } = after;
    const { namespace, name } = metadata;
    const prev = before?.rv ?? 0;
    const { rowid: rv } = this.#tables.connection.run(
      'INSERT INTO revision (kind, namespace, name, type, prev, at, json) VALUES (?, ?, ?, ?, ?, ?, ?)',
      kind,
      namespace,
      name,
      type,
      prev,
      this.#now,
      json,
    );
    const state = new State(rv, json, after);
    this.revisions.push(new Revision({ type, kind, namespace }, state, () => before));
    return state;
  }

  #indexLabels(before: StoredResource | undefined, after: StoredResource | undefined): void {
    const old = before?.metadata.labels;
    const now = after?.metadata.labels;
    if (old === now) return;
    const { connection } = this.#tables;
    for (const [key, value] of Object.entries(old ?? {})) {
      if (now !== undefined && Object.hasOwn(now, key) && now[key] === value) continue;
      connection.run(
        'DELETE FROM label WHERE kind = ? AND key = ? AND value = ? AND namespace = ? AND name = ?',
        ...labelRow(before, key, value),
      );
    }
    for (const [key, value] of Object.entries(now ?? {})) {
      if (old !== undefined && Object.hasOwn(old, key) && old[key] === value) continue;
      connection.run(
        'INSERT INTO label (kind, key, value, namespace, name) VALUES (?, ?, ?, ?, ?)',
        ...labelRow(after, key, value),
      );
    }
  }

  #indexOwners(before: StoredResource | undefined, after: StoredResource | undefined): void {
    const old = new Set((before?.metadata.ownerReferences ?? []).map((owner) => owner.uid));
    const now = new Set((after?.metadata.ownerReferences ?? []).map((owner) => owner.uid));
    const { kind, metadata } = (after ?? before) as StoredResource;
    const { connection } = this.#tables;
    for (const uid of old) {
      if (now.has(uid)) continue;
      connection.run(
        'DELETE FROM owner WHERE uid = ? AND kind = ? AND namespace = ? AND name = ?',
        uid,
        kind,
        metadata.namespace,
        metadata.name,
      );
    }
    let added: string | undefined;
    for (const uid of now) {
      if (old.has(uid)) continue;
      added = uid;
      connection.run(
        'INSERT INTO owner (uid, kind, namespace, name) VALUES (?, ?, ?, ?)',
        uid,
        kind,
        metadata.namespace,
        metadata.name,
      );
    }
    // Born without a living owner, or left without one: to be collected as if the owner had just gone.
    const changed = added ?? (old.size > now.size ? [...now][0] : undefined);
    if (changed !== undefined && after !== undefined && this.isOrphan(after)) {
      connection.run('INSERT OR IGNORE INTO garbage VALUES (?)', changed);
      this.#hasGarbage = true;
    }
  }
}

export interface DependentKey extends Key {
  readonly kind: Kind;
}

/** Whether a store keeps resources of the kind that an owner reference names. */
function isKept(owner: { readonly apiVersion: string; readonly kind: string }): boolean {
  if (!Object.hasOwn(kinds, owner.kind)) return false;
  const slash = owner.apiVersion.indexOf('/');
  return kinds[owner.kind as Kind].group === (slash < 0 ? '' : owner.apiVersion.slice(0, slash));
}

function labelRow(
  resource: StoredResource | undefined,
  key: string,
  value: string,
): [string, string, string, string, string] {
  return [
    resource?.kind ?? '',
    key,
    value,
    resource?.metadata.namespace ?? '',
    resource?.metadata.name ?? '',
  ];
}
