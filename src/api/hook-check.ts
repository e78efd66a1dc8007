import { CelError, type CelProgram, compileCel } from '../base/cel.ts';
import { TemplateError } from '../base/go-template/template.ts';
import { parseBodyTemplate } from './body-template.ts';
import { Payload } from './delivery.ts';
import type { Fault } from './fault.ts';
import { type FieldPath, formatFieldPath } from './field-path.ts';
import { Hooks } from './hook.ts';
import { compilePruner } from './pruning.ts';
import { compileSchemaCheck } from './schema-check.ts';
import { toStructural } from './structural-schema.ts';
import { compileRuleCheck } from './validation-rules.ts';

/** What a filter finds in `task`. */
const payloadFields: readonly string[] = Object.keys(Payload.shape);
const schema = toStructural(Hooks);
const pruner = compilePruner(schema);
const shape = compileSchemaCheck(schema);
const rules = compileRuleCheck(schema);

/**
 * Judges a list of hooks wherever it stands: by the rules that `spec.onCompletion.hooks` has in the schema, and
 * what a schema cannot say: whether its filters are CEL and its templates Go templates. Unknown fields are faults.
 */
function hooksFaults(hooks: unknown, root: FieldPath): readonly Fault[] {
  const faults: Fault[] = [];
  const pruned = pruner.prune(hooks, root, { nullIsAbsent: false, unknown: faults, faults });
  const misshapen = shape.faults(pruned, root);
  faults.push(...(misshapen.length > 0 ? misshapen : rules.faults(pruned, undefined, root)));
  if (misshapen.length === 0)
    faults.push(...filterFaults(pruned as Hooks, root), ...bodyTemplateFaults(pruned as Hooks, root));
  return faults;
}

/** The filters of hooks that cannot be right. */
export function filterFaults(hooks: Hooks, root: FieldPath): readonly Fault[] {
  return hooks.flatMap(({ filter }, index) => {
    const message = filter === undefined ? undefined : celFault(filter);
    return message === undefined ? [] : [{ path: formatFieldPath([...root, index, 'filter']), message }];
  });
}

/** The body templates of hooks that are no templates: each such hook would fail when a Task has ended. */
export function bodyTemplateFaults(hooks: Hooks, root: FieldPath): readonly Fault[] {
  return hooks.flatMap(({ webhook }, index): Fault[] => {
    try {
      if (webhook.template !== undefined) parseBodyTemplate(webhook.template);
      return [];
    } catch (thrown) {
      if (!(thrown instanceof TemplateError)) throw thrown;
      return [{ path: formatFieldPath([...root, index, 'webhook', 'template']), message: thrown.message }];
    }
  });
}

/**
 * Judges the value of annotation `kelos.dev/on-completion`. A store lets a bad one through (whoever stamped it, the
 * Task must run); a person who writes one should hear of it at once.
 */
export function hooksAnnotationFaults(text: string, root: FieldPath): readonly Fault[] {
  const path = formatFieldPath(root);
  let hooks: unknown;
  try {
    hooks = JSON.parse(text);
  } catch {
    return [{ path, message: 'must be JSON: the list of hooks that spec.onCompletion.hooks would hold' }];
  }
  // Paths inside the text are no fields of the resource, so the message carries them.
  return hooksFaults(hooks, ['hooks']).map((fault) => ({ path, message: `${fault.path}: ${fault.message}` }));
}

/** Why a filter cannot be right: it is no CEL, names what no payload has, or never gives a boolean. */
function celFault(expression: string): string | undefined {
  try {
    const { references, evaluate } = compileCel(expression);
    const unknown = references.find(
      ({ variable, field }) => variable !== 'task' || (field !== undefined && !payloadFields.includes(field)),
    );
    if (unknown === undefined) return valueFault(evaluate);
    const name = [unknown.variable, unknown.field].filter((part) => part !== undefined).join('.');
    return `does not know ${name}; known: ${payloadFields.map((field) => `task.${field}`).join(', ')}`;
  } catch (error) {
    if (error instanceof CelError) return error.message;
    throw error;
  }
}

/** A payload of the types that all have. */
const sample = {
  ...Object.fromEntries(payloadFields.map((field) => [field, 'x'])),
  outputs: ['branch: x'],
  results: { branch: 'x' },
  truncated: [],
};
/** What fails whatever the values are. What another value may mend is none of these. */
const failsAlways = /^(unbound function|found no matching overload|error parsing regexp)/;

/** Why an expression gives no boolean for any payload; undefined when it may for some. */
function valueFault(evaluate: CelProgram['evaluate']): string | undefined {
  for (const phase of ['Succeeded', 'Failed']) {
    try {
      if (typeof evaluate({ task: { ...sample, phase } }) !== 'boolean')
        return 'gives neither true nor false: compare with something, such as task.phase == "Failed"';
    } catch (error) {
      if (error instanceof CelError && failsAlways.test(error.message))
        return `always fails: ${error.message}`;
    }
  }
  return undefined;
}
