import { parseUrl } from '../../base/url.ts';

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
