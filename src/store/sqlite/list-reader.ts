import type { Kind } from '../../api/kinds.ts';
import { type LabelSelector, matchesLabels } from '../label-selector.ts';
import { gone, invalid } from '../refusals.ts';
import type { Key } from '../store.ts';
import type { SqlValue } from './connection.ts';
import { State } from './state.ts';
import type { Tables } from './tables.ts';

/** What a list asks for. */
export interface ListQuery {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly selector: LabelSelector;
}

/** Where a page begins: after this key, in the state of this version. */
export interface ListPosition {
  readonly version: number;
  readonly after: Key | undefined;
}

export interface ListPart {
  readonly items: readonly State[];
  /** The state that the items are of. */
  readonly version: number;
  /** Where the rest begins; undefined when there is none. */
  readonly next: ListPosition | undefined;
}

/** Rows read at a time: what does not match the selector costs a read too. */
const batchSize = 250;

/**
 * Reads up to `limit` resources, by namespace, then name. All parts of one list show the same state, that of
 * its first part: what changed since is read from the history.
 * @throws StoreError `Gone` when the history no longer reaches back that far.
 */
export function readList(
  tables: Tables,
  query: ListQuery,
  limit: number,
  from: ListPosition | undefined,
): ListPart {
  return tables.connection.snapshot(() => {
    const current = tables.currentVersion();
    const version = from?.version ?? current;
    if (version < tables.compactedVersion())
      throw gone('the list took so long that its state is no longer kept');
    if (version > current) throw gone('the token is from another store');
    const changed = version === current ? [] : changedKeys(tables, query, version);
    const size = Math.min(batchSize, limit + 1);
    const items: State[] = [];
    let after = from?.after;
    let taken: Key | undefined;
    for (;;) {
      const rows = currentRows(tables, query, after, version, size);
      const last = rows.length < size ? undefined : rows.at(-1);
      for (const candidate of merge(rows, changed, after, last)) {
        const state = resolve(tables, candidate);
        if (state === undefined || !isSelected(state, query.selector)) continue;
        if (items.length === limit) return { items, version, next: { version, after: taken } };
        items.push(state);
        taken = { namespace: candidate.namespace, name: candidate.name };
      }
      if (last === undefined) return { items, version, next: undefined };
      after = last;
    }
  });
}

interface Candidate extends Key {
  /** 0 when it was not there. */
  readonly rv: number;
  readonly json?: string;
}

/** Rows that have not changed since the version. An equality in the selector is answered by the label index. */
function currentRows(
  tables: Tables,
  query: ListQuery,
  after: Key | undefined,
  version: number,
  limit: number,
): (Key & { rv: number; json: string })[] {
  const equality = query.selector.find(({ operator, values }) => operator === 'In' && values.length === 1);
  const values: SqlValue[] = [query.kind];
  let sql: string;
  let by: string;
  if (equality === undefined) {
    by = 'o';
    sql = 'FROM object o CROSS JOIN revision r ON r.rv = o.rv WHERE o.kind = ?';
  } else {
    by = 'l';
    sql =
      'FROM label l CROSS JOIN object o ON o.kind = l.kind AND o.namespace = l.namespace AND o.name = l.name CROSS JOIN revision r ON r.rv = o.rv WHERE l.kind = ? AND l.key = ? AND l.value = ?';
    values.push(equality.key, equality.values[0] ?? '');
  }
  if (query.namespace === undefined) {
    sql += ` AND (${by}.namespace, ${by}.name) > (?, ?)`;
    values.push(after?.namespace ?? '', after?.name ?? '');
  } else {
    sql += ` AND ${by}.namespace = ? AND ${by}.name > ?`;
    values.push(query.namespace, after?.name ?? '');
  }
  return tables.connection.all<{ namespace: string; name: string; rv: number; json: string }>(
    `SELECT o.namespace AS namespace, o.name AS name, o.rv AS rv, r.json AS json ${sql} AND o.rv <= ? ORDER BY ${by}.namespace, ${by}.name LIMIT ?`,
    ...values,
    version,
    limit,
  );
}

/** Keys that changed after the version, with the version that each had then. */
function changedKeys(tables: Tables, { kind, namespace }: ListQuery, version: number): Candidate[] {
  // The plus keeps SQLite from walking the index of the whole kind: what changed lately is the shorter way.
  return (
    tables.connection
      // A bare column beside min() is of the row that has the minimum: the first change says what it superseded.
      .all<{ namespace: string; name: string; prev: number; first: number }>(
        'SELECT namespace, name, prev, min(rv) AS first FROM revision WHERE rv > ? AND +kind = ? GROUP BY namespace, name',
        version,
        kind,
      )
      .filter((key) => namespace === undefined || key.namespace === namespace)
      .map(({ namespace, name, prev }) => ({ namespace, name, rv: prev }))
  );
}

/** Puts the changed keys of (after, last] among the rows. */
function merge(
  rows: readonly Candidate[],
  changed: readonly Candidate[],
  after: Key | undefined,
  last: Key | undefined,
): readonly Candidate[] {
  const within = changed.filter(
    (key) =>
      (after === undefined || compareKeys(key, after) > 0) &&
      (last === undefined || compareKeys(key, last) <= 0),
  );
  return within.length === 0 ? rows : [...rows, ...within].sort(compareKeys);
}

function resolve(tables: Tables, { rv, json }: Candidate): State | undefined {
  if (json === undefined) return rv === 0 ? undefined : tables.readVersion(rv);
  return tables.cache.get(rv) ?? new State(rv, json);
}

function isSelected(state: State, selector: LabelSelector): boolean {
  return selector.length === 0 || matchesLabels(selector, state.resource.metadata.labels);
}

/** As SQLite orders text: by its UTF-8, which for names (ASCII) is by its units. */
function compareKeys(a: Key, b: Key): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

/** A position as the token that callers hand back. */
export function encodeToken({ version, after }: ListPosition): string {
  return Buffer.from(JSON.stringify([version, after?.namespace, after?.name])).toString('base64url');
}

/** @throws StoreError `Invalid` when the text is not a token of this store. */
export function decodeToken(token: string): ListPosition {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (Array.isArray(parts) && parts.length === 3) {
      const [version, namespace, name] = parts as unknown[];
      if (Number.isSafeInteger(version) && typeof namespace === 'string' && typeof name === 'string') {
        return { version: version as number, after: { namespace, name } };
      }
    }
  } catch {
    // Not JSON: refused below.
  }
  throw invalid('continue', 'is not a token that a list of this store gave; begin the list anew');
}
