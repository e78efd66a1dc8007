/** The longest URL that is looked at, in characters. */
const maxLength = 2048;

/** Control, format, white-space characters and the backslash: parsers disagree about them. */
const treacherous = /[\p{Cc}\p{Cf}\s\\]/u;

/**
 * Why the raw text of a URL is refused before anything parses it, or undefined. Only here is the text itself
 * judged; every later verdict is about the parsed host.
 */
export function textFault(raw: string): string | undefined {
  if (raw.length > maxLength) return `the URL is longer than ${maxLength} characters`;
  if (treacherous.test(raw))
    return 'the URL holds a backslash, white space, or a control or format character';
  if (!raw.startsWith('https://')) return 'the URL must start with https://';
  const rest = raw.slice('https://'.length);
  const authority = /^[^/?#]*/.exec(rest)?.[0] ?? '';
  if (authority === '') return 'the URL has no host';
  if (authority.includes('@')) return 'the URL holds a user or password: send credentials as headers';
  return undefined;
}
