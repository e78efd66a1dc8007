import { formatFloat } from './format-number.ts';
import { kindOf, mapGet, mapKeys, typeName, type Value } from './value.ts';

/** Go's fmt.Sprint: a space between operands when neither is a string. */
export function sprint(values: readonly Value[]): string {
  let text = '';
  values.forEach((value, index) => {
    const before = values[index - 1];
    if (index > 0 && typeof value !== 'string' && typeof before !== 'string') text += ' ';
    text += formatValue(value);
  });
  return text;
}

/** Go's fmt.Sprintln: always a space between operands, and a newline. */
export function sprintln(values: readonly Value[]): string {
  return `${values.map(formatValue).join(' ')}\n`;
}

/** One value as `%v` writes it. */
export function formatValue(value: Value): string {
  return formatAs(value, plain);
}

/** Flags, width and precision of one verb. */
interface Spec {
  readonly verb: string;
  readonly plus: boolean;
  readonly minus: boolean;
  readonly sharp: boolean;
  readonly space: boolean;
  readonly zero: boolean;
  readonly width: number | undefined;
  readonly precision: number | undefined;
}

const plain: Spec = {
  verb: 'v',
  plus: false,
  minus: false,
  sharp: false,
  space: false,
  zero: false,
  width: undefined,
  precision: undefined,
};

/** Go takes no wider and no more precise. */
const maxSize = 1_000_000;

const directive = /%([-+# 0]*)(?:\[(\d+)\])?(\*|\d+)?(?:\.(?:\[(\d+)\])?(\*|\d+)?)?(?:\[(\d+)\])?/y;

/** Go's fmt.Sprintf, its mistakes spelled as Go spells them (`%!d(string=x)`). */
export function sprintf(format: string, args: readonly Value[]): string {
  const formatter = new Formatter(format, args);
  return formatter.run();
}

class Formatter {
  readonly #format: string;
  readonly #args: readonly Value[];
  #next = 0;
  #indexed = false;
  #badIndex = false;

  constructor(format: string, args: readonly Value[]) {
    this.#format = format;
    this.#args = args;
  }

  run(): string {
    const format = this.#format;
    let text = '';
    let at = 0;
    for (;;) {
      const percent = format.indexOf('%', at);
      if (percent < 0) break;
      text += format.slice(at, percent);
      directive.lastIndex = percent;
      const match = directive.exec(format);
      const end = directive.lastIndex;
      const verb = String.fromCodePoint(format.codePointAt(end) ?? 0);
      if (match === null || end >= format.length) return `${text}%!(NOVERB)${this.#extra()}`;
      text += this.#one(match, verb);
      at = end + verb.length;
    }
    return text + format.slice(at) + this.#extra();
  }

  #one(match: RegExpExecArray, verb: string): string {
    const [, flags = '', widthIndex, widthText, precisionIndex, precisionText, index] = match;
    this.#badIndex = false;
    let prefix = '';
    this.#goTo(widthIndex);
    let width = this.#size(widthText);
    if (width === 'bad') prefix += '%!(BADWIDTH)';
    this.#goTo(precisionIndex);
    const hasPrecision = match[0].includes('.');
    const precision = hasPrecision ? (this.#size(precisionText) ?? 0) : undefined;
    if (precision === 'bad') prefix += '%!(BADPREC)';
    this.#goTo(index);
    if (verb === '%') return `${prefix}%`;
    if (this.#badIndex) return `${prefix}%!${verb}(BADINDEX)`;
    if (this.#next >= this.#args.length) return `${prefix}%!${verb}(MISSING)`;
    const value = this.#args[this.#next];
    this.#next += 1;
    let minus = flags.includes('-');
    if (typeof width === 'number' && width < 0) {
      minus = true;
      width = -width;
    }
    return (
      prefix +
      formatAs(value, {
        verb,
        plus: flags.includes('+'),
        minus,
        sharp: flags.includes('#'),
        space: flags.includes(' '),
        zero: flags.includes('0') && !minus,
        width: typeof width === 'number' ? width : undefined,
        precision: typeof precision === 'number' && precision >= 0 ? precision : undefined,
      })
    );
  }

  #goTo(index: string | undefined): void {
    if (index === undefined) return;
    const number = Number(index);
    this.#indexed = true;
    if (number < 1 || number > this.#args.length) this.#badIndex = true;
    else this.#next = number - 1;
  }

  /** A width or precision: a number, or `*` for the next argument. */
  #size(text: string | undefined): number | 'bad' | undefined {
    if (text === undefined) return undefined;
    if (text !== '*') return Number(text) <= maxSize ? Number(text) : 'bad';
    const value = this.#args[this.#next];
    this.#next += 1;
    return typeof value === 'bigint' && value >= -maxSize && value <= maxSize ? Number(value) : 'bad';
  }

  #extra(): string {
    if (this.#indexed || this.#next >= this.#args.length) return '';
    const rest = this.#args.slice(this.#next).map((value) => {
      const type = typeName(value);
      return kindOf(value) === 'nil' ? type : `${type}=${formatValue(value)}`;
    });
    return `%!(EXTRA ${rest.join(', ')})`;
  }
}

function formatAs(value: Value, spec: Spec): string {
  if (spec.verb === 'T') return pad(typeName(value), spec);
  switch (kindOf(value)) {
    case 'nil':
      return spec.verb === 'v' ? pad('<nil>', spec) : `%!${spec.verb}(<nil>)`;
    case 'bool':
      return formatBool(value as boolean, spec);
    case 'int':
      return formatInt(value as bigint, spec);
    case 'float':
      return formatDouble(value as number, spec);
    case 'string':
      return formatString(value as string, spec);
    case 'list': {
      const items = (value as readonly Value[]).map((item) => formatInner(item, spec));
      return isGoSyntax(spec) ? `[]interface {}{${items.join(', ')}}` : `[${items.join(' ')}]`;
    }
    case 'map':
      return formatMap(value, spec);
  }
}

/** An element of a list or map: there, nil has one spelling whatever the verb, and `+` of `%+v` says nothing. */
function formatInner(value: Value, spec: Spec): string {
  if (kindOf(value) === 'nil') return isGoSyntax(spec) ? 'interface {}(nil)' : pad('<nil>', spec);
  return formatAs(value, spec.verb === 'v' ? { ...spec, plus: false } : spec);
}

function isGoSyntax({ verb, sharp }: Spec): boolean {
  return verb === 'v' && sharp;
}

function formatMap(value: Value, spec: Spec): string {
  const entries = mapKeys(value).map(
    (key) => `${formatAs(key, spec)}:${formatInner(mapGet(value, key).value, spec)}`,
  );
  return isGoSyntax(spec) ? `map[string]interface {}{${entries.join(', ')}}` : `map[${entries.join(' ')}]`;
}

function badVerb(value: Value, { verb }: Spec): string {
  return `%!${verb}(${typeName(value)}=${formatValue(value)})`;
}

function formatBool(value: boolean, spec: Spec): string {
  return spec.verb === 'v' || spec.verb === 't' ? pad(String(value), spec) : badVerb(value, spec);
}

const bases: Readonly<Record<string, { readonly base: number; readonly prefix: string }>> = {
  v: { base: 10, prefix: '' },
  d: { base: 10, prefix: '' },
  b: { base: 2, prefix: '0b' },
  o: { base: 8, prefix: '0' },
  O: { base: 8, prefix: '0o' },
  x: { base: 16, prefix: '0x' },
  X: { base: 16, prefix: '0X' },
};

function formatInt(value: bigint, spec: Spec): string {
  const { verb } = spec;
  const base = bases[verb];
  if (base !== undefined) return formatInBase(value, base, spec);
  const valid = value >= 0n && value <= 0x10ffffn;
  const character = String.fromCodePoint(valid ? Number(value) : 0xfffd);
  switch (verb) {
    case 'c':
      return pad(character, spec);
    case 'q':
      return pad(`'${quoteBody(character, "'", spec.plus)}'`, spec);
    case 'U':
      return pad(unicodePoint(value, character, spec), spec);
    default:
      return badVerb(value, spec);
  }
}

function unicodePoint(value: bigint, character: string, spec: Spec): string {
  const hex = value
    .toString(16)
    .toUpperCase()
    .padStart(Math.max(4, spec.precision ?? 0), '0');
  return `U+${hex}${spec.sharp && isPrintable(character) ? ` '${character}'` : ''}`;
}

function formatInBase(value: bigint, { base, prefix }: { base: number; prefix: string }, spec: Spec): string {
  const { verb, sharp, precision, width, zero } = spec;
  const sign = value < 0n ? '-' : spec.plus ? '+' : spec.space ? ' ' : '';
  let digits = (value < 0n ? -value : value).toString(base);
  if (verb === 'X') digits = digits.toUpperCase();
  if (precision === 0 && value === 0n) return pad('', { ...spec, zero: false });
  const shown = verb === 'O' || (sharp && verb !== 'v') ? prefix : '';
  if (precision !== undefined) digits = digits.padStart(precision, '0');
  // Zeros fill the width between sign and digits; the prefix comes on top.
  else if (zero && width !== undefined) digits = digits.padStart(width - sign.length, '0');
  return pad(sign + (verb === 'o' && digits.startsWith('0') ? '' : shown) + digits, { ...spec, zero: false });
}

function formatDouble(value: number, spec: Spec): string {
  const verb = spec.verb === 'v' ? 'g' : spec.verb;
  const form = verb.toLowerCase();
  if (!'eEfFgG'.includes(verb) || (form !== 'e' && form !== 'f' && form !== 'g')) return badVerb(value, spec);
  let text = formatFloat(value, form, spec.precision ?? (form === 'g' ? -1 : 6));
  if (verb === 'E' || verb === 'G') text = text.replace('e', 'E');
  const infinite = !Number.isFinite(value);
  const unsigned = text.replace(/^[+-]/, '');
  const sign = text.startsWith('-')
    ? '-'
    : spec.plus
      ? '+'
      : spec.space
        ? ' '
        : text.startsWith('+')
          ? '+'
          : '';
  if (!spec.zero || infinite || spec.width === undefined)
    return pad(sign + unsigned, { ...spec, zero: false });
  return sign + unsigned.padStart(spec.width - sign.length, '0');
}

function formatString(value: string, spec: Spec): string {
  const cut = (text: string): string =>
    spec.precision === undefined ? text : [...text].slice(0, spec.precision).join('');
  switch (spec.verb) {
    case 'v':
      return pad(spec.sharp ? quote(value) : cut(value), spec);
    case 's':
      return pad(cut(value), spec);
    case 'q':
      if (spec.sharp && canBackquote(value)) return pad(`\`${value}\``, spec);
      return pad(`"${quoteBody(cut(value), '"', spec.plus)}"`, spec);
    case 'x':
    case 'X':
      return pad(hexText(value, spec), spec);
    default:
      return badVerb(value, spec);
  }
}

function hexText(value: string, { verb, precision, sharp, space }: Spec): string {
  const bytes = [...Buffer.from(value).subarray(0, precision ?? Infinity)];
  const pairs = bytes.map((byte) => byte.toString(16).padStart(2, '0'));
  const prefix = sharp && pairs.length > 0 ? '0x' : '';
  const text = space ? pairs.map((pair) => prefix + pair).join(' ') : prefix + pairs.join('');
  return verb === 'X' ? text.toUpperCase() : text;
}

/** Fills up to the width, which counts characters. */
function pad(text: string, { width, minus, zero }: Spec): string {
  if (width === undefined) return text;
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  if (minus) return text + ' '.repeat(missing);
  return (zero ? '0' : ' ').repeat(missing) + text;
}

/** A string in Go's double quotes. */
export function quote(value: string): string {
  return `"${quoteBody(value, '"', false)}"`;
}

const quoted: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

function quoteBody(value: string, mark: string, ascii: boolean): string {
  let text = '';
  for (const character of value) {
    const code = character.codePointAt(0) ?? 0;
    if (character === mark) text += `\\${mark}`;
    else if (quoted[character] !== undefined) text += quoted[character];
    else if (code >= 0xd800 && code <= 0xdfff) text += ascii ? '\\ufffd' : '\ufffd';
    else if (isPrintable(character) && (!ascii || code < 0x80)) text += character;
    else if (code < 0x80) text += `\\x${code.toString(16).padStart(2, '0')}`;
    else if (code < 0x10000) text += `\\u${code.toString(16).padStart(4, '0')}`;
    else text += `\\U${code.toString(16).padStart(8, '0')}`;
  }
  return text;
}

function canBackquote(value: string): boolean {
  return !/[`\ufeff]|(?!\t)\p{Cc}/u.test(value);
}

/** Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the plain space. */
export function isPrintable(character: string): boolean {
  return /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character);
}
