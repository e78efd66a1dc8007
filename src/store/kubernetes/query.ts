/** Parameters of a request; undefined ones are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

/** A path with its query, if there is any. */
export function withQuery(path: string, query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, value);
  return given.size === 0 ? path : `${path}?${given.toString()}`;
}
