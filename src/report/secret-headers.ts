import { type Secret, secretValue } from '../api/secret.ts';
import { RequestRefusal } from './secrets.ts';

/** RFC 9110 token: what a header name may be. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Headers that frame or route the message, or that say who sends it: no Secret sets them. */
const reserved =
  /^(host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|expect|proxy-.*|webhook-.*|telos-.*)$/;

/** Tab, printable ASCII and latin-1: all that a header value may hold. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Every key of a Secret as a header, names in lower case. None may be one of `ours`: those have to say what they say.
 * @throws RequestRefusal InvalidHeader, naming the key and never the value
 */
export function secretHeaders(secret: Secret, ours: ReadonlySet<string>): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  for (const key of Object.keys(secret.data ?? {})) {
    const name = key.toLowerCase();
    const value = secretValue(secret, key) ?? '';
    const fault =
      headerFault(name, value) ??
      (ours.has(name) ? 'names a header that Telos sets itself; remove it' : undefined) ??
      (name in headers ? 'is there twice, in another case' : undefined);
    if (fault !== undefined) {
      const { name: secretName, namespace } = secret.metadata;
      throw new RequestRefusal(
        'InvalidHeader',
        `key ${key} of Secret ${secretName} in namespace ${namespace} ${fault}`,
      );
    }
    headers[name] = value;
  }
  return headers;
}

/** Servers take some 8 KiB of headers in all; and what is sent is searched for in every answer. */
const maxValueLength = 8192;

function headerFault(name: string, value: string): string | undefined {
  if (!token.test(name)) return 'is no header name; rename it';
  if (reserved.test(name)) return 'names a header that a hook may not set; remove it';
  if (/[\r\n]$/.test(value)) return 'ends with a line break; write the value without it (printf, not echo)';
  if (value.length > maxValueLength)
    return `is longer than ${maxValueLength} characters, which no server takes as a header; shorten it`;
  if (!fieldValue.test(value)) return 'holds a character that no header value may hold; encode the value';
  return undefined;
}
