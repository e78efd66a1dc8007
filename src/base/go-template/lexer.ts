import { type Position, TemplateError } from './errors.ts';

export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'space'
  /** `.Name`, the value without the dot. */
  | 'field'
  /** `$name`, the value with the dollar. */
  | 'variable'
  | 'identifier'
  | 'number'
  | 'character'
  /** A string literal, interpreted or raw; the value is what it stands for. */
  | 'string'
  | '.'
  | '('
  | ')'
  | '|'
  | ','
  | '='
  | ':='
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly value: string;
  readonly at: Position;
}

const trimLeft = /^\{\{-(?=[ \t\r\n])/;
const trimRight = /^[ \t\r\n]+-\}\}/;
const wordStart = /[\p{L}_]/u;
const wordPart = /[\p{L}\p{Nd}_]/u;

/** Cuts a template into tokens; white space that trim markers take is gone already. @throws TemplateError */
export function tokenize(text: string): Token[] {
  return new Lexer(text).run();
}

class Lexer {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  /** For positions: where the line of `#seen` begins. */
  #line = 1;
  #lineStart = 0;
  #seen = 0;

  constructor(text: string) {
    this.#text = text;
  }

  run(): Token[] {
    let trimNext = false;
    while (this.#at < this.#text.length) {
      const open = this.#text.indexOf('{{', this.#at);
      const end = open < 0 ? this.#text.length : open;
      const trims = open >= 0 && trimLeft.test(this.#text.slice(open, open + 4));
      this.#plainText(end, trimNext, trims);
      if (open < 0) break;
      trimNext = this.#action(trims);
    }
    this.#push('end', '', this.#text.length);
    return this.#tokens;
  }

  #plainText(end: number, trimStart: boolean, trimEnd: boolean): void {
    let text = this.#text.slice(this.#at, end);
    if (trimStart) text = text.replace(/^[ \t\r\n]+/, '');
    if (trimEnd) text = withoutTrailingSpace(text);
    if (text !== '') this.#push('text', text, this.#at);
    this.#at = end;
  }

  /** One `{{…}}`. Returns whether it trims the text after it. */
  #action(trims: boolean): boolean {
    const start = this.#at;
    this.#at += trims ? 3 : 2;
    const space = /^[ \t\r\n]*/.exec(this.#rest(4096))?.[0].length ?? 0;
    if (this.#text.startsWith('/*', this.#at + (trims ? space : 0))) return this.#comment(trims ? space : 0);
    this.#push('open', '', start);
    for (;;) {
      const trim = trimRight.exec(this.#rest(4096));
      if (trim !== null) {
        this.#push('close', '', this.#at);
        this.#at += trim[0].length;
        return true;
      }
      if (this.#text.startsWith('}}', this.#at)) {
        this.#push('close', '', this.#at);
        this.#at += 2;
        return false;
      }
      if (this.#at >= this.#text.length) throw this.#fault(start, 'this action is not closed: write }}');
      this.#token();
    }
  }

  #comment(space: number): boolean {
    const start = this.#at;
    const end = this.#text.indexOf('*/', this.#at + space + 2);
    if (end < 0) throw this.#fault(start, 'this comment is not closed: write */}}');
    this.#at = end + 2;
    const trim = trimRight.exec(this.#rest(4096));
    if (trim !== null) {
      this.#at += trim[0].length;
      return true;
    }
    if (!this.#text.startsWith('}}', this.#at))
      throw this.#fault(this.#at, 'a comment must end right before }}');
    this.#at += 2;
    return false;
  }

  #token(): void {
    const start = this.#at;
    const character = this.#text[start] ?? '';
    const space = /^[ \t\r\n]+/.exec(this.#rest(4096));
    if (space !== null) {
      this.#at += space[0].length;
      this.#push('space', '', start);
    } else if (character === '"') this.#string();
    else if (character === '`') this.#rawString();
    else if (character === "'") this.#character();
    else if (character === '$') this.#word('variable', start + 1);
    else if (character === '.' && wordStart.test(this.#text[start + 1] ?? '')) this.#word('field', start + 1);
    else if (isNumberStart(this.#text, start)) this.#number();
    else if (wordStart.test(character)) this.#word('identifier', start);
    else this.#symbol(character);
  }

  #symbol(character: string): void {
    const start = this.#at;
    if (this.#text.startsWith(':=', start)) {
      this.#at += 2;
      this.#push(':=', '', start);
    } else if (
      character === '.' ||
      character === '(' ||
      character === ')' ||
      character === '|' ||
      character === ',' ||
      character === '='
    ) {
      this.#at += 1;
      this.#push(character, '', start);
    } else throw this.#fault(start, `unexpected ${JSON.stringify(character)} in an action`);
  }

  #word(kind: 'variable' | 'field' | 'identifier', from: number): void {
    const start = this.#at;
    let end = from;
    while (end < this.#text.length && wordPart.test(this.#text[end] ?? '')) end += 1;
    this.#at = end;
    this.#push(kind, this.#text.slice(kind === 'field' ? from : start, end), start);
    const next = this.#text[end] ?? '';
    if (next !== '' && !' \t\r\n.,|:=()}'.includes(next)) {
      throw this.#fault(end, `unexpected ${JSON.stringify(next)} after ${this.#text.slice(start, end)}`);
    }
  }

  #number(): void {
    const start = this.#at;
    const match = /^[+-]?[0-9a-zA-Z_.]*(?:(?<=[eEpP])[+-][0-9_]+)?/.exec(this.#rest(512));
    const value = match?.[0] ?? '';
    this.#at += Math.max(1, value.length);
    this.#push('number', value, start);
  }

  #string(): void {
    const start = this.#at;
    let end = start + 1;
    for (; ; end += 1) {
      const character = this.#text[end];
      if (character === undefined || character === '\n')
        throw this.#fault(start, 'this string is not closed');
      if (character === '\\') end += 1;
      else if (character === '"') break;
    }
    this.#at = end + 1;
    this.#push('string', this.#unquoted(start, end), start);
  }

  #rawString(): void {
    const start = this.#at;
    const end = this.#text.indexOf('`', start + 1);
    if (end < 0) throw this.#fault(start, 'this raw string is not closed');
    this.#at = end + 1;
    this.#push('string', this.#text.slice(start + 1, end).replaceAll('\r', ''), start);
  }

  #character(): void {
    const start = this.#at;
    const match = /^'((?:[^'\\\n]|\\.)[^'\n]{0,9})'/u.exec(this.#rest(16));
    const value = match === null ? '' : this.#unquoted(start, start + match[0].length - 1);
    if (match === null || [...value].length !== 1)
      throw this.#fault(start, 'this is not one character in quotes');
    this.#at += match[0].length;
    this.#push('character', value, start);
  }

  /** What stands between two quotes, its escapes resolved. */
  #unquoted(start: number, end: number): string {
    const value = unescapeGo(this.#text.slice(start + 1, end));
    if (value === undefined) throw this.#fault(start, 'this string has an escape that Go does not know');
    return value;
  }

  #rest(length: number): string {
    return this.#text.slice(this.#at, this.#at + length);
  }

  #push(kind: TokenKind, value: string, at: number): void {
    this.#tokens.push({ kind, value, at: this.#position(at) });
  }

  #fault(at: number, message: string): TemplateError {
    return new TemplateError('TemplateSyntax', this.#position(at), message);
  }

  /** Positions are asked for in rising order, nearly always, so lines are counted once. */
  #position(at: number): Position {
    if (at < this.#seen) {
      this.#line = 1;
      this.#lineStart = 0;
      this.#seen = 0;
    }
    for (let next = this.#text.indexOf('\n', this.#seen); next >= 0 && next < at; ) {
      this.#line += 1;
      this.#lineStart = next + 1;
      next = this.#text.indexOf('\n', next + 1);
    }
    this.#seen = Math.max(at, this.#lineStart);
    return { line: this.#line, column: at - this.#lineStart + 1 };
  }
}

/** Trims by hand: a pattern anchored at the end would look at every run of spaces on its way. */
function withoutTrailingSpace(text: string): string {
  let end = text.length;
  while (end > 0 && ' \t\r\n'.includes(text[end - 1] ?? 'x')) end -= 1;
  return text.slice(0, end);
}

function isNumberStart(text: string, at: number): boolean {
  const [first = '', second = ''] = [text[at], text[at + 1]];
  if (first === '+' || first === '-') return /[0-9.]/.test(second);
  return /[0-9]/.test(first) || (first === '.' && /[0-9]/.test(second));
}

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/** Resolves Go's escapes; bytes given as `\x..` or octal are UTF-8. Undefined when one is not Go's. */
function unescapeGo(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  const bytes: Buffer[] = [];
  const part =
    /\\(?:([abfnrtv\\'"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|([^\\]+)/gy;
  let end = 0;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    const [, simple, hex, octal, u4, u8, plain] = match;
    const byte = hex === undefined ? Number.parseInt(octal ?? '', 8) : Number.parseInt(hex, 16);
    const code = Number.parseInt(u4 ?? u8 ?? '', 16);
    if (byte > 0xff || code > 0x10ffff) return undefined;
    if (plain !== undefined) bytes.push(Buffer.from(plain));
    else if (simple !== undefined) bytes.push(Buffer.from(simpleEscapes[simple] ?? ''));
    else bytes.push(Number.isNaN(byte) ? Buffer.from(String.fromCodePoint(code)) : Buffer.of(byte));
    end = part.lastIndex;
  }
  return end === text.length ? Buffer.concat(bytes).toString('utf8') : undefined;
}
