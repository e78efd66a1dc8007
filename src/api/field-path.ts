/** The way to a field from the root of a resource: names of fields, keys of maps, indexes of lists. */
export type FieldPath = readonly (string | number)[];

const plainName = /^[A-Za-z_$][\w$-]*$/;

/** A path as faults show it: `spec.onCompletion.hooks[0].webhook.url`, `metadata.labels["a.b/c"]`. */
export function formatFieldPath(path: FieldPath): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (!plainName.test(segment)) text += `[${JSON.stringify(segment)}]`;
    else text += text === '' ? segment : `.${segment}`;
  }
  return text;
}

/** Reads what `formatFieldPath` wrote; what it cannot read ends the path. */
export function parseFieldPath(text: string): FieldPath {
  const path: (string | number)[] = [];
  const segment = /\.?([A-Za-z_$][\w$-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;
  for (;;) {
    const match = segment.exec(text);
    if (match === null) return path;
    const [, name, index, quoted] = match;
    if (name !== undefined) path.push(name);
    else if (index !== undefined) path.push(Number(index));
    else if (quoted !== undefined) path.push(JSON.parse(quoted) as string);
  }
}
