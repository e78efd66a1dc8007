/** What a template works on: a number is Go's float64, a bigint its int; undefined counts as nil. */
export type Value = unknown;

/** The kinds that Go tells apart. */
export type ValueKind = 'nil' | 'bool' | 'int' | 'float' | 'string' | 'list' | 'map';

export function kindOf(value: Value): ValueKind {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    case 'string':
      return 'string';
    case 'object':
      if (value === null) return 'nil';
      return Array.isArray(value) ? 'list' : 'map';
    default:
      return 'nil';
  }
}

/** How Go names the type of a value. */
export function typeName(value: Value): string {
  const names = {
    nil: '<nil>',
    bool: 'bool',
    int: 'int',
    float: 'float64',
    string: 'string',
    list: '[]interface {}',
    map: 'map[string]interface {}',
  };
  return names[kindOf(value)];
}

/** Go's idea of truth: not zero, not empty, not nil. */
export function isTrue(value: Value): boolean {
  switch (kindOf(value)) {
    case 'list':
      return (value as readonly Value[]).length > 0;
    case 'map':
      return mapKeys(value).length > 0;
    default:
      return Boolean(value);
  }
}

/** The value of a key, own properties only: what data inherit from JavaScript is not theirs. */
export function mapGet(map: Value, key: string): { readonly found: boolean; readonly value: Value } {
  if (map instanceof Map) return { found: map.has(key), value: map.get(key) };
  const found = Object.hasOwn(map as object, key);
  return { found, value: found ? (map as Record<string, Value>)[key] : undefined };
}

/** The keys of a map, sorted as Go sorts strings: by their bytes. */
export function mapKeys(map: Value): string[] {
  const keys = map instanceof Map ? [...map.keys()].map(String) : Object.keys(map as object);
  return keys.sort(compareText);
}

/** Compares by UTF-8 bytes, which is by code points. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  // UTF-16 units sort as code points do, but for surrogates.
  return /[\ud800-\udfff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
}
