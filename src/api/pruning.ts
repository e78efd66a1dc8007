import { nearest } from '../base/nearest.ts';
import type { Fault } from './fault.ts';
import { formatFieldPath } from './field-path.ts';
import type { StructuralSchema } from './structural-schema.ts';

/** Deepest nesting that is taken where a schema lets anything stand. */
const maxDepth = 64;

/** What is wanted of a pruning, and where it says what it found. */
export interface PruneOptions {
  /** Whether a field that is null counts as absent, as an API server has it, or is left to be refused. */
  readonly nullIsAbsent: boolean;
  /** Gets a fault for each field removed that the schema does not know, naming the nearest right one. */
  readonly unknown: Fault[];
  /** Gets a fault for what is no JSON at all. */
  readonly faults: Fault[];
}

/** Removes the fields that a schema does not know and fills in its defaults. */
export interface Pruner {
  /** Returns `value` itself when there was nothing to change, else a copy of what changed; `undefined` counts as absent. */
  prune(value: unknown, path: readonly (string | number)[], options: PruneOptions): unknown;
}

/** Prepares the pruning of values of one schema. */
export function compilePruner(schema: StructuralSchema): Pruner {
  const node = compileNode(schema);
  return {
    prune: (value, path, options) => pruneNode(node, value, { ...options, path: [...path] }),
  };
}

/** A schema as far as it matters to which fields there are; undefined for scalars. */
type Node = ObjectNode | ListNode | 'anything' | undefined;

interface ObjectNode {
  readonly fields: ReadonlyMap<string, Node>;
  readonly defaults: readonly (readonly [name: string, value: unknown])[];
  /** What becomes of fields that are not named: removed, kept as they are, or values of a map. */
  readonly others: 'unknown' | 'kept' | { readonly values: Node };
}

interface ListNode {
  readonly items: Node;
}

interface Walk extends PruneOptions {
  readonly path: (string | number)[];
}

function compileNode(schema: StructuralSchema): Node {
  if (schema.type === 'array') {
    const items = schema.items === undefined ? undefined : compileNode(schema.items);
    return items === undefined ? undefined : { items };
  }
  const kept = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (schema.type !== 'object') return kept ? 'anything' : undefined;
  const properties = Object.entries(schema.properties ?? {});
  if (kept && properties.length === 0) return 'anything';
  return {
    fields: new Map(properties.map(([name, property]) => [name, compileNode(property)])),
    defaults: properties.flatMap(([name, { default: value }]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
    others: kept
      ? 'kept'
      : schema.additionalProperties === undefined
        ? 'unknown'
        : { values: compileNode(schema.additionalProperties) },
  };
}

function pruneNode(node: Node, value: unknown, walk: Walk): unknown {
  if (node === undefined || typeof value !== 'object' || value === null) return value;
  if (node === 'anything') {
    checkJson(value, walk, 0);
    return value;
  }
  if (Array.isArray(value)) return 'items' in node ? pruneList(node, value, walk) : value;
  return 'items' in node ? value : pruneObject(node, value as Record<string, unknown>, walk);
}

function pruneList(node: ListNode, list: readonly unknown[], walk: Walk): unknown {
  let copy: unknown[] | undefined;
  for (let index = 0; index < list.length; index += 1) {
    const item = list[index];
    walk.path.push(index);
    const pruned = pruneNode(node.items, item, walk);
    walk.path.pop();
    if (pruned === item) continue;
    copy ??= [...list];
    copy[index] = pruned;
  }
  return copy ?? list;
}

function pruneObject(node: ObjectNode, object: Readonly<Record<string, unknown>>, walk: Walk): unknown {
  // Spreading keeps even a field called __proto__ an ordinary own field.
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(object)) {
    const value = object[name];
    const pruned = value === undefined ? undefined : pruneField(node, name, value, walk);
    if (pruned === value && value !== undefined) continue;
    copy ??= { ...object };
    if (pruned === undefined) delete copy[name];
    else copy[name] = pruned;
  }
  for (const [name, value] of node.defaults) {
    if ((copy ?? object)[name] !== undefined) continue;
    copy ??= { ...object };
    copy[name] = structuredClone(value);
  }
  return copy ?? object;
}

/** The field's value as it may stay; undefined when the field is unknown, or null where that is no value. */
function pruneField(node: ObjectNode, name: string, value: unknown, walk: Walk): unknown {
  let below = node.fields.get(name);
  if (below === undefined && !node.fields.has(name)) {
    if (node.others === 'unknown') {
      walk.unknown.push(unknownField([...walk.path, name], name, node.fields.keys()));
      return undefined;
    }
    below = node.others === 'kept' ? 'anything' : node.others.values;
  }
  if (value === null && walk.nullIsAbsent && below !== 'anything') return undefined;
  if (below === undefined) return value;
  walk.path.push(name);
  const pruned = pruneNode(below, value, walk);
  walk.path.pop();
  return pruned;
}

/** The fault of a field that does not exist. */
export function unknownField(
  path: readonly (string | number)[],
  name: string,
  known: Iterable<string>,
): Fault {
  const at = formatFieldPath(path);
  const right = nearest(name, known);
  const remedy = right === undefined ? 'remove it' : formatFieldPath([...path.slice(0, -1), right]);
  return {
    path: at,
    message: right === undefined ? `unknown field: ${remedy}` : `unknown field: did you mean ${remedy}?`,
  };
}

/** Where anything may stand, it must still be JSON, and not so deep that walking it is a danger. */
function checkJson(value: unknown, walk: Walk, depth: number): void {
  if (depth > maxDepth) {
    walk.faults.push({ path: formatFieldPath(walk.path), message: `is nested more than ${maxDepth} deep` });
    return;
  }
  if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      walk.path.push(Array.isArray(value) ? Number(name) : name);
      checkJson(member, walk, depth + 1);
      walk.path.pop();
    }
  } else if (!isJsonScalar(value)) {
    walk.faults.push({ path: formatFieldPath(walk.path), message: 'is not a JSON value' });
  }
}

function isJsonScalar(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return true;
    case 'number':
      return Number.isFinite(value);
    default:
      return value === null;
  }
}
