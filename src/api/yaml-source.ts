import {
  type Alias,
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  type YAMLMap,
} from 'yaml';
import { clampUtf8 } from '../base/text.ts';
import { type FieldPath, formatFieldPath } from './field-path.ts';

/** Deepest nesting of a document, aliases followed. */
const maxDepth = 64;

/** Words and signs of one text; reading takes about a microsecond for each. */
const maxTokens = 500_000;

/** Values of one text, those that aliases repeat counted again. */
const maxValues = 500_000;

/** Where something stands in a text; lines and columns count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One thing that makes a text no YAML 1.2 (JSON is YAML, too) or no JSON value. */
export interface YamlFault extends Position {
  /** The field, when it is known. */
  readonly path: string;
  readonly message: string;
}

/** One document of a text. */
export interface YamlDocument {
  /** A plain JSON value. */
  readonly value: unknown;
  /** Where a field stands (its key, or its list entry), or the nearest field above it that is there. */
  locate(path: FieldPath): Position;
}

/**
 * Reads YAML documents from a text of bounded size. Work and memory stay bounded whatever the text holds, and
 * nothing is thrown: a document with faults is left out. Empty documents are left out as well.
 */
export function readYaml(text: string): {
  readonly documents: readonly YamlDocument[];
  readonly faults: readonly YamlFault[];
} {
  const lines = new LineCounter();
  const tokens = readTokens(text, lines);
  if ('message' in tokens) return { documents: [], faults: [tokens] };
  const documents: YamlDocument[] = [];
  const faults: YamlFault[] = [];
  const budget = { values: maxValues };
  for (const document of compose(tokens.tokens, lines)) {
    const result = readDocument(document, lines, budget);
    if ('faults' in result) faults.push(...result.faults);
    else if (result.value !== null) documents.push(result);
  }
  return { documents, faults };
}

/** Reads as far as the brackets and indents go; what follows recurses, so the depth must be known to be small. */
function readTokens(text: string, lines: LineCounter): { readonly tokens: readonly CST.Token[] } | YamlFault {
  const parser = new Parser(lines.addNewLine);
  // The parser reports each new line only when it drives the lexer itself, and never the first.
  lines.addNewLine(0);
  const tokens: CST.Token[] = [];
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    count += 1;
    // A document and the scalar being read are on the stack as well.
    if (parser.stack.length > maxDepth + 2) {
      return { path: '', ...positionOf(lines, parser.offset), message: `nests more than ${maxDepth} deep` };
    }
    if (count > maxTokens) {
      const message = `holds more than ${maxTokens} words and signs: split it into several files`;
      return { path: '', ...positionOf(lines, parser.offset), message };
    }
  }
  tokens.push(...parser.end());
  return { tokens };
}

function compose(tokens: readonly CST.Token[], lines: LineCounter): Iterable<Document.Parsed> {
  // Duplicate keys are looked for here: the library compares every key with every other.
  return new Composer({
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  }).compose(tokens);
}

function readDocument(
  document: Document.Parsed,
  lines: LineCounter,
  budget: { values: number },
): YamlDocument | { readonly faults: readonly YamlFault[] } {
  // An unknown tag is a mere warning to the library, which then drops it: a text that begins with "!" would be lost.
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    // Later errors mostly follow from the first.
    return { faults: [{ path: '', ...positionOf(lines, error.pos[0]), message: errorMessage(error) }] };
  }
  const reader = new JsonReader(document, lines, budget);
  const value = reader.read();
  if (reader.faults.length > 0) return { faults: reader.faults };
  return { value, locate: (path) => locate(document, path, lines) };
}

/** Says what is wrong and never quotes the text: it may be a Secret's. */
function errorMessage(error: { readonly code: string; readonly message: string }): string {
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return 'a tab cannot indent: use spaces';
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'a mapping cannot begin here: put a text that holds ": " in quotes, or mend the indent';
    case 'TAG_RESOLVE_FAILED':
      return 'has a tag that means nothing here: put a text that begins with "!" in quotes, or remove the tag';
    case 'BAD_DQ_ESCAPE':
      return 'holds an escape that YAML does not know: write \\\\ for a backslash, or use single quotes';
    default: {
      // What the library quotes stands behind a colon.
      const [what = ''] = error.message.split(/(?<! ):|\n/, 1);
      return `is not YAML: ${clampUtf8(what, 200)}`;
    }
  }
}

/** Turns the nodes of a document into a plain JSON value. */
class JsonReader {
  readonly faults: YamlFault[] = [];
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #budget: { values: number };
  readonly #path: (string | number)[] = [];
  /** The node that last bore an anchor, in the order of the text. */
  readonly #anchors = new Map<string, Node>();
  /** What each alias stood for when it was met first: an anchor may be given again later. */
  readonly #targets = new Map<Node, Node>();
  #gaveUp = false;
  #following = false;

  constructor(document: Document.Parsed, lines: LineCounter, budget: { values: number }) {
    this.#document = document;
    this.#lines = lines;
    this.#budget = budget;
  }

  read(): unknown {
    return this.#value(this.#document.contents, 0);
  }

  #value(node: Node | null, depth: number): unknown {
    if (node === null || this.#gaveUp) return null;
    this.#budget.values -= 1;
    if (this.#budget.values < 0)
      return this.#giveUp(node, `holds more than ${maxValues} values, aliases followed`);
    if (depth > maxDepth) return this.#giveUp(node, `nests more than ${maxDepth} deep, aliases followed`);
    if (isAlias(node)) return this.#alias(node, depth);
    if (node.anchor !== undefined && !this.#following) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#mapping(node, depth);
    if (isSeq(node)) {
      return node.items.map((item, index) =>
        this.#at(index, () => this.#value(item as Node | null, depth + 1)),
      );
    }
    return isScalar(node) ? this.#scalar(node, node.value) : null;
  }

  #alias(node: Alias, depth: number): unknown {
    const target = this.#targets.get(node) ?? this.#anchors.get(node.source);
    if (target === undefined) {
      this.#fault(node, 'refers to nothing that stands above it: put a text that begins with "*" in quotes');
      return null;
    }
    this.#targets.set(node, target);
    const outer = this.#following;
    this.#following = true;
    const value = this.#value(target, depth + 1);
    this.#following = outer;
    return value;
  }

  #mapping(node: YAMLMap, depth: number): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      const name = keyName(key);
      if (name === undefined) {
        this.#fault(isNodeWithRange(key) ? key : node, 'a key must be a string');
        continue;
      }
      if (entries.has(name)) {
        this.#at(name, () => this.#fault(key as Node, 'is there twice: remove one of them'));
        continue;
      }
      entries.set(
        name,
        this.#at(name, () => this.#value(value as Node | null, depth + 1)),
      );
    }
    // Object.fromEntries makes even __proto__ an ordinary field.
    return Object.fromEntries(entries);
  }

  #scalar(node: Node, value: unknown): unknown {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      this.#fault(node, 'is not a number that JSON has: put it in quotes');
    } else if (typeof value === 'object' && value !== null) {
      this.#fault(node, 'has a tag that means nothing here: remove the tag');
      return null;
    }
    return value;
  }

  #at<T>(segment: string | number, read: () => T): T {
    this.#path.push(segment);
    const result = read();
    this.#path.pop();
    return result;
  }

  #giveUp(node: Node, message: string): null {
    this.#gaveUp = true;
    // The path says nothing here: following aliases made it.
    const at = positionOf(this.#lines, node.range?.[0] ?? 0);
    this.faults.push({ path: '', ...at, message });
    return null;
  }

  #fault(node: Node, message: string): void {
    const at = positionOf(this.#lines, node.range?.[0] ?? 0);
    this.faults.push({ path: formatFieldPath(this.#path), ...at, message });
  }
}

function isNodeWithRange(node: unknown): node is Node {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node);
}

/** The name of a field; undefined for keys that are no scalar. A number is written as it stands in the text. */
function keyName(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  if (typeof key.value === 'string') return key.value;
  return key.source ?? (key.value === null ? undefined : String(key.value));
}

function locate(document: Document.Parsed, path: FieldPath, lines: LineCounter): Position {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? 0;
  for (const segment of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => keyName(key) === segment);
      if (pair === undefined) break;
      if (isNodeWithRange(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof segment === 'number') {
      node = node.items[segment];
      if (!isNodeWithRange(node)) break;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  return positionOf(lines, offset);
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
