import { type Position, TemplateError } from './errors.ts';
import { type Token, type TokenKind, tokenize } from './lexer.ts';
import type { Block, Command, Node, Operand, Pipe } from './nodes.ts';
import { parseNumber } from './number.ts';

/** A parsed template with those that it defines. */
export interface Parsed {
  readonly main: Block;
  readonly defined: ReadonlyMap<string, Block>;
}

/** The longest template, in UTF-16 units. */
const maxLength = 1 << 20;
/** How deep blocks and parentheses may nest. */
const maxDepth = 100;

/** Parses a template in which the named functions may be called. @throws TemplateError */
export function parse(text: string, functions: ReadonlySet<string>): Parsed {
  if (text.length > maxLength) {
    throw new TemplateError('TemplateLimit', { line: 1, column: 1 }, `longer than ${maxLength} characters`);
  }
  return new Parser(tokenize(text), functions).run();
}

/** What ended a block. */
type Ending = { readonly word: 'end' | 'else'; readonly at: Position };

class Parser {
  readonly #tokens: readonly Token[];
  readonly #functions: ReadonlySet<string>;
  readonly #defined = new Map<string, Block>();
  #next = 0;
  #depth = 0;
  #loops = 0;
  /** Variables in scope, innermost last. */
  #variables: string[] = ['$'];

  constructor(tokens: readonly Token[], functions: ReadonlySet<string>) {
    this.#tokens = tokens;
    this.#functions = functions;
  }

  run(): Parsed {
    const { nodes, ending } = this.#block(true);
    if (ending !== undefined) throw this.#fault(ending.at, `unexpected {{${ending.word}}}`);
    return { main: nodes, defined: this.#defined };
  }

  /** Nodes up to `end` or `else`, or the end of the text at the top. */
  #block(top: boolean): { nodes: Node[]; ending: Ending | undefined } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#take();
      if (token.kind === 'end') {
        if (!top) throw this.#fault(token.at, 'a block is not closed: write {{end}}');
        return { nodes, ending: undefined };
      }
      if (token.kind === 'text') nodes.push({ kind: 'text', text: token.value });
      else {
        const parsed = this.#action(top);
        if (parsed === undefined) continue;
        if ('word' in parsed) return { nodes, ending: parsed };
        nodes.push(parsed);
      }
    }
  }

  /** What follows `{{`. */
  #action(top: boolean): Node | Ending | undefined {
    this.#space();
    const token = this.#peek();
    const word = token.kind === 'identifier' ? token.value : '';
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        this.#take();
        return this.#control(word);
      case 'else':
      case 'end':
        this.#take();
        if (word === 'end') this.#close();
        return { word, at: token.at };
      case 'define':
        this.#take();
        if (!top || this.#depth > 0)
          throw this.#fault(token.at, 'define stands at the top of a template only');
        this.#define();
        return undefined;
      case 'block':
        this.#take();
        return this.#namedBlock();
      case 'template':
        this.#take();
        return this.#template(token.at);
      case 'break':
      case 'continue':
        this.#take();
        this.#close();
        if (this.#loops === 0) throw this.#fault(token.at, `{{${word}}} outside {{range}}`);
        return { kind: word, at: token.at };
      default: {
        const pipe = this.#pipe('close');
        return { kind: 'action', pipe };
      }
    }
  }

  #control(kind: 'if' | 'with' | 'range'): Node {
    const scope = this.#variables.length;
    const pipe = this.#pipe('close', kind === 'range');
    if (kind === 'range') this.#loops += 1;
    const { nodes, ending } = this.#nested();
    if (kind === 'range') this.#loops -= 1;
    const otherwise = ending.word === 'else' ? this.#otherwise(kind) : [];
    this.#variables.length = scope;
    return { kind, pipe, body: nodes, otherwise };
  }

  /** After `{{else`: a block of its own, or one more `if` or `with`. */
  #otherwise(kind: 'if' | 'with' | 'range'): Block {
    this.#space();
    const token = this.#peek();
    if (token.kind === 'identifier' && token.value === kind && kind !== 'range') {
      this.#take();
      return [this.#deeper(token.at, () => this.#control(kind))];
    }
    this.#close();
    const { nodes, ending } = this.#nested();
    if (ending.word === 'else') throw this.#fault(ending.at, 'a second {{else}}');
    return nodes;
  }

  #nested(): { nodes: Node[]; ending: Ending } {
    const scope = this.#variables.length;
    const at = this.#peek().at;
    const { nodes, ending } = this.#deeper(at, () => this.#block(false));
    this.#variables.length = scope;
    if (ending === undefined) throw this.#fault(at, 'a block is not closed: write {{end}}');
    return { nodes, ending };
  }

  #define(): void {
    const name = this.#templateName();
    this.#close();
    this.#defined.set(name, this.#ownScope());
  }

  #namedBlock(): Node {
    const { at } = this.#peek();
    const name = this.#templateName();
    const pipe = this.#pipe('close');
    this.#defined.set(name, this.#ownScope());
    return { kind: 'template', name, pipe, at };
  }

  /** The body of a definition: it sees no variable but `$`, and no loop. */
  #ownScope(): Block {
    const outer = { variables: this.#variables, loops: this.#loops };
    this.#variables = ['$'];
    this.#loops = 0;
    const { nodes, ending } = this.#nested();
    if (ending.word === 'else') throw this.#fault(ending.at, 'unexpected {{else}}');
    this.#variables = outer.variables;
    this.#loops = outer.loops;
    return nodes;
  }

  #template(at: Position): Node {
    const name = this.#templateName();
    this.#space();
    const pipe = this.#peek().kind === 'close' ? undefined : this.#pipe('close');
    if (pipe === undefined) this.#close();
    return { kind: 'template', name, pipe, at };
  }

  #templateName(): string {
    this.#space();
    const token = this.#take();
    if (token.kind !== 'string')
      throw this.#fault(token.at, 'the name of a template is missing: write it in quotes');
    return token.value;
  }

  #pipe(end: 'close' | ')', ranges = false): Pipe {
    this.#space();
    const { at } = this.#peek();
    const { names, assigns } = this.#declarations(ranges);
    const commands: Command[] = [];
    for (;;) {
      commands.push(this.#command(end));
      const token = this.#take();
      if (token.kind === end) break;
      if (token.kind !== '|') throw this.#unexpected(token);
    }
    for (const command of commands.slice(1)) {
      const first = command.operands[0];
      const runs = first !== undefined && !['literal', 'nil', 'dot'].includes(first.kind);
      if (!runs) throw this.#fault(command.at, 'only a function or field can take the result of a pipeline');
    }
    if (!assigns) this.#variables.push(...names);
    return { names, assigns, commands, at };
  }

  /** `$x :=`, `$x =`, and for range `$i, $x :=`. Looks ahead and goes back when there is none. */
  #declarations(ranges: boolean): { names: string[]; assigns: boolean } {
    const start = this.#next;
    const names: string[] = [];
    for (;;) {
      this.#space();
      const token = this.#take();
      if (token.kind !== 'variable') break;
      names.push(token.value);
      this.#space();
      const symbol = this.#take();
      if (symbol.kind === ':=' || symbol.kind === '=') {
        if (symbol.kind === '=') for (const name of names) this.#checkVariable(name, token.at);
        return { names, assigns: symbol.kind === '=' };
      }
      if (symbol.kind !== ',' || !ranges || names.length === 2) break;
    }
    this.#next = start;
    return { names: [], assigns: false };
  }

  #command(end: 'close' | ')'): Command {
    this.#space();
    const { at } = this.#peek();
    const operands: Operand[] = [];
    while (!this.#atEndOf(end)) {
      operands.push(this.#operand());
      const token = this.#peek();
      if (token.kind === 'space') this.#take();
      else if (!this.#atEndOf(end)) throw this.#unexpected(token);
    }
    if (operands.length === 0) throw this.#fault(at, 'a command is missing here');
    return { operands, at };
  }

  #atEndOf(end: 'close' | ')'): boolean {
    const { kind } = this.#peek();
    return kind === end || kind === '|';
  }

  #operand(): Operand {
    const term = this.#term();
    const path: string[] = [];
    while (this.#peek().kind === 'field') path.push(this.#take().value);
    if (path.length === 0) return term;
    switch (term.kind) {
      case 'field':
      case 'variable':
        return { ...term, path: [...term.path, ...path] };
      case 'dot':
        throw this.#fault(term.at, `unexpected .${path[0]} after a dot`);
      case 'nil':
      case 'literal':
        throw this.#fault(term.at, `a constant has no field ${path[0]}`);
      default:
        return { kind: 'chain', of: term, path, at: term.at };
    }
  }

  #term(): Operand {
    const token = this.#take();
    const { at, value } = token;
    switch (token.kind) {
      case '.':
        return { kind: 'dot', at };
      case 'field':
        return { kind: 'field', path: [value], at };
      case 'variable':
        this.#checkVariable(value, at);
        return { kind: 'variable', name: value, path: [], at };
      case 'string':
        return { kind: 'literal', value, at };
      case 'character':
        return { kind: 'literal', value: BigInt(value.codePointAt(0) ?? 0), at };
      case 'number': {
        const number = parseNumber(value);
        if (number === undefined) throw this.#fault(at, `${value} is not a number`);
        return { kind: 'literal', value: number, at };
      }
      case 'identifier':
        return this.#named(value, at);
      case '(':
        return { kind: 'pipe', pipe: this.#deeper(at, () => this.#pipe(')')), at };
      default:
        throw this.#unexpected(token);
    }
  }

  #named(value: string, at: Position): Operand {
    if (value === 'true' || value === 'false') return { kind: 'literal', value: value === 'true', at };
    if (value === 'nil') return { kind: 'nil', at };
    if (!this.#functions.has(value)) throw this.#fault(at, `there is no function ${JSON.stringify(value)}`);
    return { kind: 'function', name: value, at };
  }

  #checkVariable(name: string, at: Position): void {
    if (!this.#variables.includes(name)) throw this.#fault(at, `variable ${name} is not defined`);
  }

  #deeper<T>(at: Position, parse: () => T): T {
    this.#depth += 1;
    if (this.#depth > maxDepth)
      throw new TemplateError('TemplateLimit', at, `nested deeper than ${maxDepth}`);
    const result = parse();
    this.#depth -= 1;
    return result;
  }

  #close(): void {
    this.#space();
    const token = this.#take();
    if (token.kind !== 'close') throw this.#unexpected(token);
  }

  #space(): void {
    while (this.#peek().kind === 'space') this.#next += 1;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? endToken;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  #unexpected(token: Token): TemplateError {
    const names: Partial<Record<TokenKind, string>> = { close: '}}', end: 'end of the template', open: '{{' };
    const what = names[token.kind] ?? JSON.stringify(token.value === '' ? token.kind : token.value);
    return this.#fault(token.at, `unexpected ${what}`);
  }

  #fault(at: Position, message: string): TemplateError {
    return new TemplateError('TemplateSyntax', at, message);
  }
}

const endToken: Token = { kind: 'end', value: '', at: { line: 1, column: 1 } };
