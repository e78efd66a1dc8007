import { parseUrl } from '../base/url.ts';

/** Names of variables that hold credentials, wherever their values come from. */
const credentialName = /TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY/i;

/** A shorter value is a setting, and a shorter line of a longer value says nothing. */
const minValueLength = 8;
const minLineLength = 16;

/**
 * What must not appear in what is recorded of a run, because hooks tell it to others: values that came from
 * Secrets, those of variables named as credentials are, passwords in URLs, and of all of them each long line.
 */
export function hiddenValues(
  secrets: readonly string[],
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  const values = [...secrets];
  for (const [name, value] of Object.entries(variables)) {
    // A path tells where the credential is, not what it is.
    if (credentialName.test(name) && value.length >= minValueLength && !value.startsWith('/'))
      values.push(value);
    if (!value.includes('@')) continue;
    const password = parseUrl(value)?.password ?? '';
    if (password !== '') values.push(value, password, decoded(password));
  }
  const lines = values.flatMap((value) => value.split(/\r?\n/)).map((line) => line.trim());
  return [...new Set([...values, ...lines.filter(({ length }) => length >= minLineLength)])];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shorter values are not taken out of what is recorded: they stand everywhere by chance. */
const minHiddenLength = 6;

/** A text in which each of the values is replaced by `***`. */
export function withoutHidden(text: string, hidden: readonly string[]): string {
  const long = hidden.filter((value) => value.length >= minHiddenLength);
  // The longest first: one may be part of another.
  return long
    .sort((a, b) => b.length - a.length)
    .reduce((rest, value) => rest.replaceAll(value, '***'), text);
}
