import { ArgumentError } from './errors.ts';
import { isPrintable, sprint, sprintf, sprintln } from './format.ts';
import { compareText, isTrue, kindOf, mapGet, mapKeys, typeName, type Value } from './value.ts';

/** A function that templates may call. What it throws becomes the error of the template. */
export type TemplateFunction = (...args: readonly Value[]) => Value;

/** Go's own functions, but `and` and `or`, which do not evaluate all their arguments. */
export const builtins: Readonly<Record<string, TemplateFunction>> = {
  not: (...args) => !isTrue(only('not', args)),
  eq: (first, ...others) => {
    if (others.length === 0) throw new ArgumentError('eq needs two arguments at least');
    return others.some((other) => equal(first, other));
  },
  ne: (...args) => {
    const [a, b] = pair('ne', args);
    return !equal(a, b);
  },
  lt: (...args) => order('lt', args) < 0,
  le: (...args) => order('le', args) <= 0,
  gt: (...args) => order('gt', args) > 0,
  ge: (...args) => order('ge', args) >= 0,
  len: (...args) => BigInt(lengthOf(only('len', args))),
  index: (value, ...keys) => keys.reduce(indexOnce, value),
  slice: (value, ...bounds) => slice(value, bounds),
  print: (...args) => sprint(args),
  println: (...args) => sprintln(args),
  printf: (format, ...args) => {
    if (typeof format !== 'string')
      throw new ArgumentError(`printf needs a format string, not ${typeName(format)}`);
    return sprintf(format, args);
  },
  html: (...args) => textOf(args).replace(/[&<>"'\0]/g, (character) => htmlEscapes[character] ?? ''),
  js: (...args) => escapeJs(textOf(args)),
  urlquery: (...args) => escapeQuery(textOf(args)),
  call: (callee) => {
    throw new ArgumentError(`call of ${typeName(callee)}, which is no function`);
  },
};

function only(name: string, args: readonly Value[]): Value {
  if (args.length !== 1) throw new ArgumentError(`${name} takes one argument, not ${args.length}`);
  return args[0];
}

function pair(name: string, args: readonly Value[]): [Value, Value] {
  if (args.length !== 2) throw new ArgumentError(`${name} takes two arguments, not ${args.length}`);
  return [args[0], args[1]];
}

/** Go compares values of one basic type only: 1 and 1.0 are of two. */
function equal(a: Value, b: Value): boolean {
  const [kindA, kindB] = [kindOf(a), kindOf(b)];
  if (kindA === 'nil' || kindB === 'nil') return kindA === kindB;
  for (const value of [a, b]) {
    const kind = kindOf(value);
    if (kind === 'list' || kind === 'map')
      throw new ArgumentError(`values of type ${typeName(value)} cannot be compared`);
  }
  if (kindA !== kindB) throw new ArgumentError(`${typeName(a)} and ${typeName(b)} cannot be compared`);
  return a === b;
}

function order(name: string, args: readonly Value[]): number {
  const [a, b] = pair(name, args);
  if (kindOf(a) !== kindOf(b))
    throw new ArgumentError(`${typeName(a)} and ${typeName(b)} cannot be compared`);
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (typeof a === 'number' && typeof b === 'number')
    return a < b ? -1 : a > b ? 1 : a === b ? 0 : Number.NaN;
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  throw new ArgumentError(`values of type ${typeName(a)} have no order`);
}

function lengthOf(value: Value): number {
  switch (kindOf(value)) {
    case 'string':
      return Buffer.byteLength(value as string);
    case 'list':
      return (value as readonly Value[]).length;
    case 'map':
      return mapKeys(value).length;
    default:
      throw new ArgumentError(`len of type ${typeName(value)}`);
  }
}

function indexOnce(value: Value, key: Value): Value {
  switch (kindOf(value)) {
    case 'map':
      if (typeof key !== 'string')
        throw new ArgumentError(`a map is indexed with a string, not ${typeName(key)}`);
      return mapGet(value, key).value;
    case 'list': {
      const list = value as readonly Value[];
      return list[position(key, list.length - 1)];
    }
    case 'string': {
      const bytes = Buffer.from(value as string);
      return BigInt(bytes[position(key, bytes.length - 1)] ?? 0);
    }
    default:
      throw new ArgumentError(`index of type ${typeName(value)}`);
  }
}

function slice(value: Value, bounds: readonly Value[]): Value {
  if (bounds.length > 3) throw new ArgumentError(`slice takes three bounds at most, not ${bounds.length}`);
  const isText = typeof value === 'string';
  if (!isText && kindOf(value) !== 'list') throw new ArgumentError(`slice of type ${typeName(value)}`);
  if (isText && bounds.length === 3) throw new ArgumentError('a string is sliced with two bounds at most');
  const whole = isText ? Buffer.from(value) : (value as readonly Value[]);
  const [start = 0, end = whole.length, capacity = whole.length] = bounds.map((bound) =>
    position(bound, whole.length),
  );
  if (start > end || end > capacity) throw new ArgumentError(`the bounds ${start}:${end} are in no order`);
  const part = whole.slice(start, end);
  return isText ? Buffer.from(part as Buffer).toString('utf8') : part;
}

/** An index from 0 to `last`. */
function position(key: Value, last: number): number {
  if (typeof key !== 'bigint') throw new ArgumentError(`an index is an integer, not ${typeName(key)}`);
  if (key < 0n || key > BigInt(last)) throw new ArgumentError(`index ${key} is out of range`);
  return Number(key);
}

function textOf(args: readonly Value[]): string {
  if (args.length !== 1) return sprint(args);
  const [value] = args;
  return typeof value === 'string' ? value : kindOf(value) === 'nil' ? '<no value>' : sprint(args);
}

const htmlEscapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
  '\0': '\ufffd',
};

const jsEscapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
};

function escapeJs(text: string): string {
  let escaped = '';
  for (const character of text) {
    const known = jsEscapes[character];
    if (known !== undefined) escaped += known;
    else if (isPrintable(character)) escaped += character;
    else escaped += `\\u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  }
  return escaped;
}

function escapeQuery(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString('utf8'))
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
