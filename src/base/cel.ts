import {
  type CelFunc,
  type CelInput,
  CelScalar,
  celEnv,
  celFunc,
  celList,
  celMap,
  isCelError,
  parse,
  plan,
} from '@bufbuild/cel';
import { type CelReference, celDepth, celReferences, guardLoops, stepFunction } from './cel-ast.ts';
import { boundedText } from './cel-text.ts';
import { TelosError, toError } from './errors.ts';
import { clampUtf8, escapeControls } from './text.ts';

/** Longest expression, in characters. */
export const maxCelLength = 2048;

/** Deepest nesting of brackets: the parser recurses. */
const maxNesting = 32;

/** Deepest nesting of operators, calls, members and macros: planning and evaluating recurse. */
const maxDepth = 128;

/** Elements that a list or map handed to an expression may have. */
const maxElements = 10_000;

/** Elements that all macros of one evaluation (`all`, `exists`, `map`, …) may visit together. */
const maxSteps = 20_000;

/**
 * A CEL expression that cannot be read (`CelSyntax`), asks for too much (`CelLimit`), or fails on the values
 * it was given (`CelRun`). The message is one line.
 */
export class CelError extends TelosError {
  declare readonly code: 'CelSyntax' | 'CelLimit' | 'CelRun';
}

/** A compiled expression. Keep it: compiling costs some hundred times as much as evaluating. */
export interface CelProgram {
  /** What it takes from outside. */
  readonly references: readonly CelReference[];
  /**
   * The value of the expression: boolean, string, bigint (int), number (double), null, or a CEL list or map.
   * Variables are plain JSON values, integral numbers become int; a bigint is an int as well.
   * @throws CelError `CelRun`; `CelLimit` when lists are too long or macros run too long.
   */
  evaluate(variables: Readonly<Record<string, unknown>>): unknown;
}

/**
 * Compiles a CEL expression (standard library, macros, strings extension). Patterns run in linear time.
 * @throws CelError `CelSyntax`, or `CelLimit` for more than 2048 characters, 32 nested brackets or 128 nested
 * operators, calls and members.
 */
export function compileCel(expression: string): CelProgram {
  checkSize(expression);
  const budget = new StepBudget();
  const { run, references } = planExpression(expression, budget);
  return {
    references,
    evaluate(variables) {
      budget.reset();
      const bindings: Record<string, CelInput> = Object.create(null);
      for (const name in variables) {
        const value = variables[name];
        if (value !== undefined) bindings[name] = toCelInput(value);
      }
      const result = run(bindings);
      if (budget.spent) throw new CelError('CelLimit', `visits more than ${maxSteps} elements`);
      if (isCelError(result)) throw new CelError('CelRun', oneLine(result.message), { cause: result });
      return result;
    },
  };
}

/** CEL itself sets no limit on nested macros; this one is asked before each element they visit. */
class StepBudget {
  #left = maxSteps;

  readonly function: CelFunc = celFunc(stepFunction, [CelScalar.BOOL], CelScalar.BOOL, (goOn) => {
    this.#left -= 1;
    if (this.#left < 0) throw new Error('too many steps');
    return goOn;
  });

  get spent(): boolean {
    return this.#left < 0;
  }

  reset(): void {
    this.#left = maxSteps;
  }
}

interface Planned {
  readonly run: (bindings: Record<string, CelInput>) => unknown;
  readonly references: readonly CelReference[];
}

function planExpression(expression: string, budget: StepBudget): Planned {
  try {
    const parsed = parse(expression);
    if (celDepth(parsed.expr) > maxDepth)
      throw new CelError('CelLimit', `nests operators, calls or members more than ${maxDepth} deep`);
    const references = celReferences(parsed.expr);
    const loops = guardLoops(parsed.expr);
    const env = celEnv({ funcs: loops ? [...boundedText, budget.function] : [...boundedText] });
    return { run: plan(env, parsed), references };
  } catch (thrown) {
    if (thrown instanceof CelError) throw thrown;
    const reason = oneLine(toError(thrown).message).replace(/^<input>:/, '');
    throw new CelError('CelSyntax', `is not a CEL expression: ${reason}`, { cause: thrown });
  }
}

function checkSize(expression: string): void {
  if (expression.length > maxCelLength) {
    throw new CelError(
      'CelLimit',
      `is ${expression.length} characters long; an expression may have ${maxCelLength}`,
    );
  }
  let depth = 0;
  for (const character of expression) {
    if ('([{'.includes(character)) depth += 1;
    else if (')]}'.includes(character)) depth -= 1;
    if (depth > maxNesting) throw new CelError('CelLimit', `nests brackets more than ${maxNesting} deep`);
  }
}

/** Objects become maps that convert a member when it is asked for: most rules look at few of them. */
function toCelInput(value: unknown): CelInput {
  switch (typeof value) {
    case 'number':
      // Beyond 2^53 a number has lost its last digits, so it is no integer to count on.
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'string':
    case 'boolean':
    case 'bigint':
      return value;
    case 'object':
      if (value === null) return null;
      if (Array.isArray(value)) return toCelListInput(value);
      return celMap(new JsonMap(value));
    default:
      throw new CelError('CelRun', `a ${typeof value} is not a JSON value`);
  }
}

function toCelListInput(array: readonly unknown[]): CelInput {
  if (array.length > maxElements) {
    throw new CelError('CelLimit', `a list of ${array.length} elements; ${maxElements} is the limit`);
  }
  return celList(array.map(toCelInput));
}

/** An own-property view of a JSON object. */
class JsonMap implements ReadonlyMap<string, CelInput> {
  readonly #object: Readonly<Record<string, unknown>>;

  constructor(object: object) {
    this.#object = object as Readonly<Record<string, unknown>>;
  }

  get size(): number {
    return this.#names().length;
  }

  get(key: string): CelInput | undefined {
    if (!Object.hasOwn(this.#object, key)) return undefined;
    const value = this.#object[key];
    return value === undefined ? undefined : toCelInput(value);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#object, key) && this.#object[key] !== undefined;
  }

  forEach(visit: (value: CelInput, key: string, map: ReadonlyMap<string, CelInput>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this);
  }

  *entries(): MapIterator<[string, CelInput]> {
    for (const key of this.#names()) yield [key, toCelInput(this.#object[key])];
  }

  keys(): MapIterator<string> {
    return this.#names().values();
  }

  *values(): MapIterator<CelInput> {
    for (const key of this.#names()) yield toCelInput(this.#object[key]);
  }

  [Symbol.iterator](): MapIterator<[string, CelInput]> {
    return this.entries();
  }

  #names(): string[] {
    const names = Object.keys(this.#object).filter((name) => this.#object[name] !== undefined);
    if (names.length > maxElements) {
      throw new CelError('CelLimit', `a map of ${names.length} entries; ${maxElements} is the limit`);
    }
    return names;
  }
}

function oneLine(message: string): string {
  return escapeControls(clampUtf8(message, 300));
}
