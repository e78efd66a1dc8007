/** What an expression takes from outside: a variable, and the field that it looks up in it, if any. */
export interface CelReference {
  readonly variable: string;
  readonly field: string | undefined;
}

/** No expression can call it: `@` is not part of an identifier. */
export const stepFunction = '@step';

/** Names that are types and not variables. */
const typeNames: ReadonlySet<string> = new Set([
  'bool',
  'bytes',
  'double',
  'dyn',
  'google',
  'int',
  'list',
  'map',
  'null_type',
  'string',
  'type',
  'uint',
]);

/** How deep a parsed expression nests: every operator, call, member and macro is a level. */
export function celDepth(node: unknown): number {
  if (!isNode(node)) return 0;
  let deepest = 0;
  for (const child of Object.values(node)) deepest = Math.max(deepest, celDepth(child));
  return deepest + ('exprKind' in node ? 1 : 0);
}

/** Everything that a parsed expression takes from outside. A field that `has` asks for may be missing, so only its variable counts. */
export function celReferences(node: unknown, bound: ReadonlySet<string> = new Set()): CelReference[] {
  if (!isNode(node)) return [];
  const outer = (name: unknown): name is string =>
    typeof name === 'string' && !bound.has(name) && !typeNames.has(name);
  if (node['case'] === 'identExpr' && isNode(node['value'])) {
    const { name } = node['value'];
    return outer(name) ? [{ variable: name, field: undefined }] : [];
  }
  if (node['case'] === 'selectExpr' && isNode(node['value'])) {
    const { operand, field, testOnly } = node['value'];
    const variable = identifier(operand);
    if (variable !== undefined && outer(variable) && typeof field === 'string' && testOnly !== true)
      return [{ variable, field }];
  }
  if (node['case'] === 'comprehensionExpr' && isNode(node['value'])) {
    const { iterVar, iterVar2, accuVar, iterRange, accuInit, ...inner } = node['value'];
    const names = [iterVar, iterVar2, accuVar].filter((name) => typeof name === 'string');
    const within = new Set([...bound, ...names]);
    return [
      ...celReferences(iterRange, bound),
      ...celReferences(accuInit, bound),
      ...celReferences(inner, within),
    ];
  }
  return Object.values(node).flatMap((child) => celReferences(child, bound));
}

function identifier(node: unknown): string | undefined {
  if (!isNode(node) || !isNode(node['exprKind']) || node['exprKind']['case'] !== 'identExpr')
    return undefined;
  const value = node['exprKind']['value'];
  return isNode(value) && typeof value['name'] === 'string' ? value['name'] : undefined;
}

/** Puts a call of `stepFunction` around the condition of every macro; tells whether there was any. */
export function guardLoops(node: unknown): boolean {
  if (!isNode(node)) return false;
  let found = false;
  for (const child of Object.values(node)) found = guardLoops(child) || found;
  if (!('loopCondition' in node)) return found;
  const condition = node['loopCondition'];
  node['loopCondition'] = {
    $typeName: 'cel.expr.Expr',
    id: 0n,
    exprKind: {
      case: 'callExpr',
      value: { $typeName: 'cel.expr.Expr.Call', function: stepFunction, args: [condition] },
    },
  };
  return true;
}

function isNode(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
