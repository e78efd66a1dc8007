import { createHmac, timingSafeEqual } from 'node:crypto';

/** How far a Standard Webhooks timestamp may be from now, in seconds, either way. */
const toleranceSeconds = 300;

/** The signed parts of a request, with the secret they must be signed with. */
export interface SignedRequest {
  readonly headers: Headers;
  /** The raw bytes, as they came. */
  readonly body: Uint8Array;
  /** The shared secret; with the prefix `whsec_` its base64 is the key. Several, separated by white space, all count. */
  readonly secret: string;
  readonly nowMs: number;
}

/**
 * Whether a request is signed with the secret: by `X-Hub-Signature-256` (HMAC-SHA256 of the body, as GitHub
 * and many others send it) or by the headers of Standard Webhooks. Undefined: it is. Otherwise the reason,
 * which never says anything about the secret.
 */
export function signatureFault(request: SignedRequest): string | undefined {
  // The whole text first: a secret may hold spaces of its own.
  const secrets = [request.secret, ...request.secret.split(/\s+/)].filter((secret) => secret.trim() !== '');
  if (secrets.length === 0) return 'the secret is empty';
  const hub = request.headers.get('x-hub-signature-256');
  const standard = request.headers.get('webhook-signature');
  if (hub === null && standard === null)
    return 'not signed: send X-Hub-Signature-256, or the webhook-id, webhook-timestamp and webhook-signature headers';
  if (hub !== null && secrets.some((secret) => hubMatches(hub, secret, request.body))) return undefined;
  if (standard === null) return 'the signature is wrong';
  return standardFault(standard, secrets, request);
}

function hubMatches(signature: string, secret: string, body: Uint8Array): boolean {
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(signature.trim())?.[1];
  if (hex === undefined) return false;
  return timingSafeEqual(Buffer.from(hex, 'hex'), createHmac('sha256', secret).update(body).digest());
}

function standardFault(
  signature: string,
  secrets: readonly string[],
  request: SignedRequest,
): string | undefined {
  const id = request.headers.get('webhook-id') ?? '';
  const timestamp = request.headers.get('webhook-timestamp') ?? '';
  if (id === '' || !/^\d{1,12}$/.test(timestamp))
    return 'webhook-id or webhook-timestamp is missing or wrong';
  const given = signature
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => Buffer.from(part.slice(3), 'base64'));
  const signs = (secret: string): boolean => {
    const expected = createHmac('sha256', signingKey(secret))
      .update(`${id}.${timestamp}.`)
      .update(request.body)
      .digest();
    return given.some((bytes) => bytes.length === expected.length && timingSafeEqual(bytes, expected));
  };
  if (!secrets.some(signs)) return 'the signature is wrong';
  // Only now: who cannot sign learns nothing about this machine's clock.
  if (Math.abs(request.nowMs / 1000 - Number(timestamp)) > toleranceSeconds)
    return `webhook-timestamp is more than ${toleranceSeconds / 60} minutes off; check both clocks, or sign anew when sending again`;
  return undefined;
}

/** The key of Standard Webhooks: what the base64 after `whsec_` holds; a secret without the prefix is taken as it is. */
function signingKey(secret: string): Buffer {
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret, 'utf8');
}
