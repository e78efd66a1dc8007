/** Headers that say where a message goes, where it ends or what becomes of its connection: ours to write. */
const framing: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Why headers are refused, or undefined. Whoever asks has checked them before; this is the last door. The text
 * names the header, never its value.
 */
export function headersFault(headers: Readonly<Record<string, string>>): string | undefined {
  for (const name of Object.keys(headers)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) return `${JSON.stringify(name)} is no name of a header`;
    const lower = name.toLowerCase();
    if (framing.has(lower) || lower.startsWith('proxy-')) {
      return `header ${lower} frames or routes the message and cannot be given`;
    }
    // Printable latin-1 and tabs: what RFC 9110 lets a value hold.
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(headers[name] ?? '\n')) {
      return `the value of header ${lower} holds a line break, another control character or one outside latin-1`;
    }
  }
  return undefined;
}
