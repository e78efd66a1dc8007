import { builtins, type TemplateFunction } from './builtins.ts';
import { ArgumentError, type Position, TemplateError } from './errors.ts';
import { formatValue } from './format.ts';
import type { Block, Command, Node, Operand, Pipe } from './nodes.ts';
import type { Parsed } from './parser.ts';
import { isTrue, kindOf, mapGet, mapKeys, typeName, type Value } from './value.ts';

export interface RenderLimits {
  /** The longest output, in bytes of UTF-8. Default: 1 MiB. */
  readonly maxBytes?: number;
  /** How many nodes may be worked. Default: 1,000,000. */
  readonly maxSteps?: number;
}

const defaultMaxBytes = 1 << 20;
const defaultMaxSteps = 1_000_000;
/** How deep templates may call templates. */
const maxCalls = 100;

/** Why a block ended before its end. */
type Jump = 'break' | 'continue' | undefined;

/** Renders a parsed template over data. @throws TemplateError */
export function render(
  parsed: Parsed,
  functions: Readonly<Record<string, TemplateFunction>>,
  data: Value,
  limits: RenderLimits,
): string {
  return new Renderer(parsed, functions, limits).run(data);
}

class Renderer {
  readonly #parsed: Parsed;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  readonly #maxBytes: number;
  readonly #maxSteps: number;
  readonly #output: string[] = [];
  #bytes = 0;
  #steps = 0;
  #calls = 0;
  /** Innermost last. */
  #variables: { readonly name: string; value: Value }[] = [];

  constructor(
    parsed: Parsed,
    functions: Readonly<Record<string, TemplateFunction>>,
    { maxBytes = defaultMaxBytes, maxSteps = defaultMaxSteps }: RenderLimits,
  ) {
    this.#parsed = parsed;
    this.#functions = functions;
    this.#maxBytes = maxBytes;
    this.#maxSteps = maxSteps;
  }

  run(data: Value): string {
    this.#variables = [{ name: '$', value: data }];
    this.#block(this.#parsed.main, data);
    return this.#output.join('');
  }

  #block(nodes: Block, dot: Value): Jump {
    const scope = this.#variables.length;
    for (const node of nodes) {
      const jump = this.#node(node, dot);
      if (jump !== undefined) {
        this.#variables.length = scope;
        return jump;
      }
    }
    this.#variables.length = scope;
    return undefined;
  }

  #node(node: Node, dot: Value): Jump {
    switch (node.kind) {
      case 'text':
        this.#write(node.text, start);
        return undefined;
      case 'action': {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.names.length === 0) this.#write(shown(value), node.pipe.at);
        return undefined;
      }
      case 'if':
      case 'with': {
        const scope = this.#variables.length;
        const value = this.#pipe(node.pipe, dot);
        const jump = isTrue(value)
          ? this.#block(node.body, node.kind === 'with' ? value : dot)
          : this.#block(node.otherwise, dot);
        this.#variables.length = scope;
        return jump;
      }
      case 'range':
        return this.#range(node, dot);
      case 'template':
        this.#template(node, dot);
        return undefined;
      default:
        return node.kind;
    }
  }

  #range(node: Node & { kind: 'if' | 'with' | 'range' }, dot: Value): Jump {
    const { pipe, body, otherwise } = node;
    const scope = this.#variables.length;
    const value = this.#evaluate(pipe, dot);
    const [first, second] = pipe.names;
    let ran = false;
    for (const [key, element] of this.#elements(value, pipe)) {
      ran = true;
      this.#step(pipe.at);
      this.#variables.length = scope;
      if (second !== undefined) {
        this.#bind(pipe, first ?? '', key);
        this.#bind(pipe, second, element);
      } else if (first !== undefined) this.#bind(pipe, first, element);
      if (this.#block(body, element) === 'break') break;
    }
    this.#variables.length = scope;
    return ran ? undefined : this.#block(otherwise, dot);
  }

  /** Keys and elements in the order in which Go goes through them. */
  *#elements(value: Value, pipe: Pipe): Iterable<[Value, Value]> {
    switch (kindOf(value)) {
      case 'nil':
        return;
      case 'list':
        for (const [index, element] of (value as readonly Value[]).entries()) yield [BigInt(index), element];
        return;
      case 'map':
        for (const key of mapKeys(value)) yield [key, mapGet(value, key).value];
        return;
      case 'int':
        if (pipe.names.length > 1) throw this.#fault(pipe.at, 'range over an integer has one variable');
        for (let number = 0n; number < (value as bigint); number += 1n) yield [number, number];
        return;
      default:
        throw this.#fault(pipe.at, `range cannot go through a value of type ${typeName(value)}`);
    }
  }

  #bind(pipe: Pipe, name: string, value: Value): void {
    if (pipe.assigns) this.#assign(name, value);
    else this.#variables.push({ name, value });
  }

  #assign(name: string, value: Value): void {
    const variable = this.#variables.findLast((candidate) => candidate.name === name);
    if (variable !== undefined) variable.value = value;
  }

  #template(node: Node & { kind: 'template' }, dot: Value): void {
    const body = this.#parsed.defined.get(node.name);
    if (body === undefined) throw this.#fault(node.at, `there is no template ${JSON.stringify(node.name)}`);
    const data = node.pipe === undefined ? undefined : this.#pipe(node.pipe, dot);
    this.#calls += 1;
    if (this.#calls > maxCalls)
      throw this.#limit(node.at, `templates call each other deeper than ${maxCalls}`);
    const outer = this.#variables;
    this.#variables = [{ name: '$', value: data }];
    this.#block(body, data);
    this.#variables = outer;
    this.#calls -= 1;
  }

  /** Evaluates, and declares or assigns its variable. */
  #pipe(pipe: Pipe, dot: Value): Value {
    const value = this.#evaluate(pipe, dot);
    for (const name of pipe.names) this.#bind(pipe, name, value);
    return value;
  }

  #evaluate(pipe: Pipe, dot: Value): Value {
    this.#step(pipe.at);
    let value: Value;
    pipe.commands.forEach((command, index) => {
      value = this.#command(command, dot, index === 0 ? [] : [value]);
    });
    return value;
  }

  /** `passed` is the result of the command before, if there is one. */
  #command({ operands, at }: Command, dot: Value, passed: readonly Value[]): Value {
    this.#step(at);
    const [first, ...rest] = operands;
    if (first?.kind === 'function') return this.#call(first.name, first.at, rest, dot, passed);
    if (first?.kind === 'nil') throw this.#fault(at, 'nil is not a command');
    if (first === undefined || rest.length > 0 || passed.length > 0) {
      throw this.#fault(at, 'an argument is given to something that is no function');
    }
    return this.#operand(first, dot);
  }

  #call(
    name: string,
    at: Position,
    operands: readonly Operand[],
    dot: Value,
    passed: readonly Value[],
  ): Value {
    this.#step(at);
    if (name === 'and' || name === 'or') return this.#andOr(name, at, operands, dot, passed);
    const args = [...operands.map((operand) => this.#operand(operand, dot)), ...passed];
    const call = Object.hasOwn(this.#functions, name) ? this.#functions[name] : builtins[name];
    if (
      args.length === 0 &&
      !Object.hasOwn(this.#functions, name) &&
      name !== 'print' &&
      name !== 'println'
    ) {
      throw this.#fault(at, `${name} needs arguments`);
    }
    try {
      return call?.(...args);
    } catch (thrown) {
      if (thrown instanceof TemplateError) throw thrown;
      const said = thrown instanceof ArgumentError ? thrown.message : `${name}: ${(thrown as Error).message}`;
      throw new TemplateError('TemplateRender', at, said, thrown);
    }
  }

  /** The first argument that decides, and no further one is looked at. */
  #andOr(
    name: 'and' | 'or',
    at: Position,
    operands: readonly Operand[],
    dot: Value,
    passed: readonly Value[],
  ): Value {
    if (operands.length + passed.length === 0) throw this.#fault(at, `${name} needs arguments`);
    let value: Value;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return passed.length > 0 ? passed[0] : value;
  }

  #operand(operand: Operand, dot: Value): Value {
    this.#step(operand.at);
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return undefined;
      case 'literal':
        return operand.value;
      case 'field':
        return this.#path(dot, operand.path, operand.at);
      case 'variable':
        return this.#path(this.#variable(operand.name), operand.path, operand.at);
      case 'chain':
        return this.#path(this.#operand(operand.of, dot), operand.path, operand.at);
      case 'function':
        return this.#call(operand.name, operand.at, [], dot, []);
      case 'pipe':
        return this.#pipe(operand.pipe, dot);
    }
  }

  #variable(name: string): Value {
    return this.#variables.findLast((variable) => variable.name === name)?.value;
  }

  #path(from: Value, path: readonly string[], at: Position): Value {
    let value = from;
    for (const name of path) {
      const kind = kindOf(value);
      if (kind === 'nil') throw this.#fault(at, `.${name} of nil: what comes before it is not there`);
      if (kind !== 'map')
        throw this.#fault(at, `.${name} of a value of type ${typeName(value)}, which has no fields`);
      const { found, value: field } = mapGet(value, name);
      if (!found) throw this.#fault(at, `map has no entry for key ${JSON.stringify(name)}`);
      value = field;
    }
    return value;
  }

  #write(text: string, at: Position): void {
    this.#step(at);
    this.#bytes += Buffer.byteLength(text);
    if (this.#bytes > this.#maxBytes)
      throw this.#limit(at, `the output is longer than ${this.#maxBytes} bytes`);
    this.#output.push(text);
  }

  #step(at: Position): void {
    this.#steps += 1;
    if (this.#steps > this.#maxSteps) throw this.#limit(at, `it takes more than ${this.#maxSteps} steps`);
  }

  #fault(at: Position, message: string): TemplateError {
    return new TemplateError('TemplateRender', at, message);
  }

  #limit(at: Position, message: string): TemplateError {
    return new TemplateError('TemplateLimit', at, message);
  }
}

const start: Position = { line: 1, column: 1 };

/** A value as an action writes it: nil at the top has words of its own. */
function shown(value: Value): string {
  if (typeof value === 'string') return value;
  return kindOf(value) === 'nil' ? '<no value>' : formatValue(value);
}
