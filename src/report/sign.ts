import { createHmac } from 'node:crypto';
import { TelosError } from '../base/errors.ts';

/** A signing secret that is not what Standard Webhooks wants. Says nothing of its value. */
export class SigningKeyError extends TelosError {
  constructor() {
    super('SigningKey', 'not a signing secret: whsec_ and base64, several separated by white space');
  }
}

/** What is signed: the message as it is sent. */
export interface SignedMessage {
  readonly id: string;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly body: string;
}

/**
 * The value of `webhook-signature`: one `v1,…` for each live key of the secret, in its order.
 * @throws SigningKeyError
 */
export function signMessage(secret: string, message: SignedMessage): string {
  const content = `${message.id}.${message.timestamp}.${message.body}`;
  return signingKeys(secret)
    .map((key) => `v1,${createHmac('sha256', key).update(content).digest('base64')}`)
    .join(' ');
}

function signingKeys(secret: string): Buffer[] {
  const keys = secret.split(/\s+/).filter((text) => text !== '');
  if (keys.length === 0) throw new SigningKeyError();
  return keys.map((text) => {
    const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
    if (base64 === undefined) throw new SigningKeyError();
    return Buffer.from(base64, 'base64');
  });
}
