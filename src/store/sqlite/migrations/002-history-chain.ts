/**
 * Each revision names the one that it supersedes, so that no index over keys is needed to walk back: an index in
 * the order of names costs a page of its own per write. Owners are looked up by name, which a reference has.
 */
export const historyChain = `
ALTER TABLE revision ADD COLUMN prev INTEGER NOT NULL DEFAULT 0;
UPDATE revision SET prev = coalesce((
  SELECT old.rv FROM revision AS old
  WHERE old.kind = revision.kind AND old.namespace = revision.namespace AND old.name = revision.name
    AND old.rv < revision.rv AND old.type <> 'D'
  ORDER BY old.rv DESC LIMIT 1
), 0) WHERE type <> 'A';
DROP INDEX revision_key;
DROP INDEX object_uid;
`;
