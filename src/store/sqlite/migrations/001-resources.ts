/**
 * Every change is one row of `revision`, its JSON stored once; `object` points at the newest. What stands on
 * top of them is derived: `label` and `owner` are indexes, `garbage` the owners whose dependents still have to go.
 */
export const resources = `
CREATE TABLE revision (
  rv INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('A', 'M', 'D')),
  at INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT;
CREATE INDEX revision_key ON revision (kind, namespace, name, rv, type);

CREATE TABLE object (
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  rv INTEGER NOT NULL,
  uid TEXT NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX object_uid ON object (uid);
CREATE INDEX event_age ON object (rv) WHERE kind = 'Event';

CREATE TABLE label (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (kind, key, value, namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE owner (
  uid TEXT NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (uid, kind, namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE garbage (uid TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 0);

-- Versions begin at 2, so that an empty list has a version that is not "0": that one means "any" to Kubernetes.
INSERT INTO sqlite_sequence (name, seq) VALUES ('revision', 1);
`;
