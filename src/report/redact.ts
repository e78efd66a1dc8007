/** Shorter values are too likely to be ordinary words. */
const minSecretLength = 4;

/**
 * Strikes secret values out of a text that others wrote: a receiver may echo what it was sent. Also finds them
 * as JSON writes them, and the credential of `Bearer …` or `Basic …` by itself.
 */
export function redact(text: string, secretValues: readonly string[]): string {
  let redacted = text;
  for (const value of secretValues) {
    const credential = /^\S+ +(\S+)$/.exec(value)?.[1];
    for (const form of [value, JSON.stringify(value).slice(1, -1), credential ?? ''])
      if (form.length >= minSecretLength) redacted = redacted.replaceAll(form, '***');
  }
  return redacted;
}
