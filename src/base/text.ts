/**
 * Cuts `text` to at most `maxBytes` of UTF-8, never inside a character.
 * Returns the same string when it fits.
 */
export function clampUtf8(text: string, maxBytes: number): string {
  // Every UTF-16 unit takes at most 3 bytes, so short texts need no encoding.
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  // 0b10xxxxxx continues a character: step back to where it begins.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString('utf8');
}

/** Replaces control and format characters by `\xNN` or `\u{NNNN}`, so that text from others cannot drive a terminal. */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** A time as the API writes it: RFC 3339, UTC, whole seconds (`2026-01-02T03:04:05Z`). */
export function rfc3339(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
