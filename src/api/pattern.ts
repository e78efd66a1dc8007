/*
 * Every pattern of the schemas. Each means the same to JavaScript (with and without the u flag) and to RE2,
 * which is what a Kubernetes API server runs: no \s (the two disagree on it), no look-around.
 */

/** A DNS-1123 subdomain: what names of resources must be (at most 253 characters). */
export const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** A DNS-1123 label: what namespaces and hook names must be (at most 63 characters). */
export const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/**
 * What the text of a hook URL must look like: https, a host, no userinfo (an `@` is fine once the path,
 * query or fragment has begun), no backslash, no ASCII control or white-space character.
 * The egress guard looks harder; this is what a schema can say.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
export const hookUrl = /^https:\/\/[^@/?#\\\x00-\x20\x7f]+([/?#][^\\\x00-\x20\x7f]*)?$/;

export const httpUrl = /^https?:\/\/.+/;
export const gitUrl = /^(https?:\/\/|git:\/\/|git@).*/;
export const githubTeam = /^[^/]+\/[^/]+$/;
export const slackChannel = /^[CG][A-Z0-9]{8,}$/;
export const variableName = /^[a-zA-Z][a-zA-Z0-9_]*$/;
export const deliveryId = /^msg_[a-z0-9]{26}$/;
export const secretKey = /^[-._a-zA-Z0-9]+$/;

/** What to say when a text does not match; a schema has no place for it. */
const messages: ReadonlyMap<string, string> = new Map(
  (
    [
      [dnsSubdomain, 'must be lower-case letters, digits, "-" and "." (a DNS name)'],
      [dnsLabel, 'must be lower-case letters, digits and "-", beginning and ending with a letter or digit'],
      [hookUrl, 'must be an https URL without user or password'],
      [httpUrl, 'must be an http or https URL'],
      [gitUrl, 'must be a git URL that begins with https://, http://, git:// or git@'],
      [githubTeam, 'must be ORGANISATION/TEAM'],
      [slackChannel, 'must be a Slack channel id such as C0123456789'],
      [variableName, 'must be letters, digits and "_", beginning with a letter'],
      [deliveryId, 'must be msg_ and 26 lower-case letters or digits'],
      [secretKey, 'must be letters, digits, "-", "_" and "."'],
    ] as const
  ).map(([pattern, message]) => [pattern.source, message]),
);

/** One line on what a text must look like to match the pattern of this source. */
export function patternMessage(source: string): string {
  return messages.get(source) ?? `must match ${source}`;
}
