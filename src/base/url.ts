/**
 * Parses a URL; undefined when it is none. Use this instead of `URL.canParse`: in Node 20 that one errs about
 * letters such as ü once it has been called often enough to be optimized.
 */
export function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
