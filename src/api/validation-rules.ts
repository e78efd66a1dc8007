import { isDeepStrictEqual } from 'node:util';
import { type CelProgram, compileCel } from '../base/cel.ts';
import { toError } from '../base/errors.ts';
import type { Fault } from './fault.ts';
import { formatFieldPath, parseFieldPath } from './field-path.ts';
import type { StructuralSchema, ValidationRule } from './structural-schema.ts';

/** Checks what a schema says beyond shapes: CEL rules, transition rules, unique list entries. */
export interface RuleCheck {
  /**
   * Everything that is wrong with a value that already has the right shape. Rules that speak of `oldSelf`
   * are asked only where there is an old value and it differs; list entries find theirs by the list's keys.
   */
  faults(value: unknown, before: unknown, root: readonly (string | number)[]): readonly Fault[];
}

/** Prepares the checks; each rule is compiled when it is first asked. */
export function compileRuleCheck(schema: StructuralSchema): RuleCheck {
  const node = compileNode(schema);
  return {
    faults(value, before, root) {
      const faults: Fault[] = [];
      if (node !== undefined) checkNode(node, value, before, { path: [...root], faults });
      return faults;
    },
  };
}

/** The part of a schema that has rules at or below it. */
interface RuleNode {
  readonly rules: readonly Rule[];
  readonly fields: readonly (readonly [name: string, node: RuleNode])[];
  readonly values: RuleNode | undefined;
  readonly items: RuleNode | undefined;
  /** Fields that tell the entries of a list apart; empty: the entries themselves do. */
  readonly listKeys: readonly string[] | undefined;
}

interface Rule {
  readonly source: ValidationRule;
  readonly transition: boolean;
  program: CelProgram | undefined;
}

interface Walk {
  readonly path: (string | number)[];
  readonly faults: Fault[];
}

function compileNode(schema: StructuralSchema): RuleNode | undefined {
  const rules = (schema['x-kubernetes-validations'] ?? []).map((source) => ({
    source,
    transition: /\boldSelf\b/.test(source.rule),
    program: undefined,
  }));
  const fields = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const below = compileNode(property);
    return below === undefined ? [] : [[name, below] as const];
  });
  const values = schema.additionalProperties && compileNode(schema.additionalProperties);
  const items = schema.items && compileNode(schema.items);
  const listKeys = listKeysOf(schema);
  const empty = rules.length === 0 && fields.length === 0;
  if (empty && values === undefined && items === undefined && listKeys === undefined) return undefined;
  return { rules, fields, values, items, listKeys };
}

function listKeysOf(schema: StructuralSchema): readonly string[] | undefined {
  switch (schema['x-kubernetes-list-type']) {
    case 'map':
      return schema['x-kubernetes-list-map-keys'] ?? [];
    case 'set':
      return [];
    default:
      return undefined;
  }
}

function checkNode(node: RuleNode, value: unknown, before: unknown, walk: Walk): void {
  if (value === undefined || value === null) return;
  for (const rule of node.rules) checkRule(rule, value, before, walk);
  if (Array.isArray(value)) checkList(node, value, before, walk);
  else if (typeof value === 'object') checkMembers(node, value, before, walk);
}

function checkMembers(node: RuleNode, value: object, before: unknown, walk: Walk): void {
  for (const [name, below] of node.fields) {
    checkMember(below, name, Reflect.get(value, name), memberOf(before, name), walk);
  }
  if (node.values === undefined) return;
  for (const [name, member] of Object.entries(value)) {
    checkMember(node.values, name, member, memberOf(before, name), walk);
  }
}

function checkMember(
  node: RuleNode,
  name: string | number,
  value: unknown,
  before: unknown,
  walk: Walk,
): void {
  walk.path.push(name);
  checkNode(node, value, before, walk);
  walk.path.pop();
}

function checkList(node: RuleNode, list: readonly unknown[], before: unknown, walk: Walk): void {
  const { listKeys, items } = node;
  if (listKeys !== undefined) checkUnique(listKeys, list, walk);
  if (items === undefined) return;
  const old =
    listKeys !== undefined && Array.isArray(before)
      ? new Map(before.map((entry: unknown) => [entryKey(listKeys, entry), entry]))
      : undefined;
  for (const [index, entry] of list.entries()) {
    checkMember(items, index, entry, old?.get(entryKey(listKeys ?? [], entry)), walk);
  }
}

function checkUnique(listKeys: readonly string[], list: readonly unknown[], walk: Walk): void {
  const seen = new Set<string>();
  for (const [index, entry] of list.entries()) {
    const key = entryKey(listKeys, entry);
    if (seen.has(key)) {
      const [only] = listKeys;
      const path = formatFieldPath([...walk.path, index, ...(only === undefined ? [] : [only])]);
      walk.faults.push({ path, message: 'is there twice: give each entry its own' });
    }
    seen.add(key);
  }
}

/** What tells an entry from the others, as one string. */
function entryKey(listKeys: readonly string[], entry: unknown): string {
  if (listKeys.length === 0) return JSON.stringify(entry);
  return JSON.stringify(listKeys.map((key) => memberOf(entry, key)));
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function checkRule(rule: Rule, self: unknown, oldSelf: unknown, walk: Walk): void {
  if (rule.transition && (oldSelf === undefined || isDeepStrictEqual(self, oldSelf))) return;
  const message = brokenRule(rule, self, oldSelf);
  if (message === undefined) return;
  const at = rule.source.fieldPath === undefined ? [] : parseFieldPath(rule.source.fieldPath);
  walk.faults.push({ path: formatFieldPath([...walk.path, ...at]), message });
}

/** Why the value breaks the rule; undefined when it does not. */
function brokenRule(rule: Rule, self: unknown, oldSelf: unknown): string | undefined {
  try {
    rule.program ??= compileCel(rule.source.rule);
    const holds = rule.program.evaluate(rule.transition ? { self, oldSelf } : { self });
    return holds === true ? undefined : (rule.source.message ?? `breaks the rule ${rule.source.rule}`);
  } catch (error) {
    return `cannot be checked: ${toError(error).message}`;
  }
}
