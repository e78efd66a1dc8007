/** A parsed body, or one line that says where it stops being JSON. */
export type JsonBody =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: string };

/** Deeper than any real event, shallow enough that whatever walks the value does not run out of stack. */
const maxDepth = 200;

/** Parses the body of an event. Any JSON value will do; bytes that are not UTF-8 read as U+FFFD. */
export function parseJsonBody(body: Uint8Array): JsonBody {
  const text = new TextDecoder().decode(body);
  if (text.trim() === '') return { ok: false, error: 'the body is empty; send the event as JSON' };
  const tooDeep = depthFault(text);
  if (tooDeep !== undefined) return refused(text, tooDeep, `nested deeper than ${maxDepth} levels`);
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    const at = faultOffset(text);
    return refused(text, at, at >= text.length ? 'ends too early' : 'not understood here');
  }
}

function refused(text: string, offset: number, what: string): JsonBody {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const column = offset - before.lastIndexOf('\n');
  return { ok: false, error: `the body is not JSON: line ${line}, column ${column}: ${what}` };
}

/** Where the brackets outside of strings first go too deep. */
function depthFault(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at) - 1;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > maxDepth) return at;
  }
  return undefined;
}

/** Just after the string that begins at `start`, or the end of the text when nothing closes it. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

/** Atoms other than strings, and white space, at a position. */
const atom = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const space = /[ \t\n\r]*/y;

/** What may come next: a value, a key, or what follows a value. The first and third may also close. */
type Expected = 'value' | 'value or close' | 'key' | 'key or close' | 'colon' | 'after';

/**
 * Where a text that JSON.parse refused stops being JSON. Node tells the position of some mistakes only, in
 * words that differ between its versions.
 */
function faultOffset(text: string): number {
  const open: ('[' | '{')[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    at = skip(space, text, at);
    const token = tokenAt(text, at);
    if (token === undefined) return at;
    const next = step(expected, token.kind, open);
    if (next === undefined) return at;
    expected = next;
    at = token.end;
  }
}

type TokenKind = '{' | '}' | '[' | ']' | ',' | ':' | 'string' | 'atom';

function tokenAt(text: string, at: number): { kind: TokenKind; end: number } | undefined {
  const character = text[at] ?? '';
  if (character === '') return undefined;
  if ('{}[],:'.includes(character)) return { kind: character as TokenKind, end: at + 1 };
  if (character === '"') {
    const end = endOfString(text, at);
    return isJson(text.slice(at, end)) ? { kind: 'string', end } : undefined;
  }
  const end = skip(atom, text, at);
  return end === at ? undefined : { kind: 'atom', end };
}

/** What is expected after the token; undefined when the token is not what was expected. */
function step(expected: Expected, token: TokenKind, open: ('[' | '{')[]): Expected | undefined {
  const inside = open.at(-1);
  switch (expected) {
    case 'colon':
      return token === ':' ? 'value' : undefined;
    case 'key or close':
      if (token === '}') return close(open);
      return token === 'string' ? 'colon' : undefined;
    case 'key':
      return token === 'string' ? 'colon' : undefined;
    case 'after':
      if (token === ',' && inside !== undefined) return inside === '{' ? 'key' : 'value';
      return (token === '}' && inside === '{') || (token === ']' && inside === '[') ? close(open) : undefined;
    default:
      if (token === ']' && expected === 'value or close') return close(open);
      return value(token, open);
  }
}

function value(token: TokenKind, open: ('[' | '{')[]): Expected | undefined {
  if (token === 'string' || token === 'atom') return 'after';
  if (token !== '[' && token !== '{') return undefined;
  open.push(token);
  return token === '[' ? 'value or close' : 'key or close';
}

function close(open: unknown[]): Expected {
  open.pop();
  return 'after';
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
