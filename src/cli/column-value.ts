/**
 * The value that a printer column's path finds: `.spec.type`, a dot in a key escaped (`kelos\.dev/x`), an
 * index in brackets. Undefined when there is none.
 */
export function columnValue(object: unknown, path: string): unknown {
  let value: unknown = object;
  for (const [, key, index] of path.matchAll(/\.((?:\\.|[^.[\\])+)|\[(\d+)\]/g)) {
    const name = index ?? (key ?? '').replace(/\\(.)/g, '$1');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
