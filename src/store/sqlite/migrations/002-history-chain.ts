/**
 * Each revision names the one that it supersedes, so that no index over keys is needed to walk back: an index in
 * the order of names costs a page of its own per write. Owners are looked up by name, which a reference has.
 *
 * The column has no default, so that an older Telos that has the file open fails to write from now on instead of
 * leaving gaps in the chain.
 */
export const historyChain = `
CREATE TABLE chained (
  rv INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('A', 'M', 'D')),
  prev INTEGER NOT NULL CHECK ((type = 'A') = (prev = 0)),
  at INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT;
INSERT INTO chained
  SELECT rv, kind, namespace, name,
    -- What a change superseded may no longer be kept: it counts as an addition then.
    CASE WHEN prev = 0 AND type = 'M' THEN 'A' ELSE type END, prev, at, json
  FROM (
    SELECT *, CASE type WHEN 'A' THEN 0 ELSE coalesce((
      SELECT old.rv FROM revision AS old
      WHERE old.kind = now.kind AND old.namespace = now.namespace AND old.name = now.name AND old.rv < now.rv
        AND old.type <> 'D'
      ORDER BY old.rv DESC LIMIT 1
    ), 0) END AS prev
    FROM revision AS now
  )
  WHERE NOT (type = 'D' AND prev = 0)
  ORDER BY rv;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'revision') WHERE name = 'chained';
INSERT INTO sqlite_sequence (name, seq)
  SELECT 'chained', seq FROM sqlite_sequence WHERE name = 'revision'
    AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'chained');
DROP TABLE revision;
ALTER TABLE chained RENAME TO revision;
DROP INDEX object_uid;
`;
