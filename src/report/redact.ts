/** Shorter values are too likely to be ordinary words. */
const minSecretLength = 4;

/**
 * Strikes secret values out of a text that others wrote: a receiver may echo what it was sent. Also finds them
 * as JSON writes them, and the credential of `Bearer …` or `Basic …` by itself.
 */
export function redact(text: string, secretValues: readonly string[]): string {
  const forms = secretValues.flatMap((value) => [
    value,
    JSON.stringify(value).slice(1, -1),
    /^\S+ +(\S+)$/.exec(value)?.[1] ?? '',
  ]);
  // The longest first: a shorter one inside it would leave its rest behind.
  return forms
    .filter((form) => form.length >= minSecretLength)
    .sort((a, b) => b.length - a.length)
    .reduce((redacted, form) => redacted.replaceAll(form, '***'), text);
}
