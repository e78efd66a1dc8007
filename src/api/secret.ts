import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Fault } from './fault.ts';
import { formatFieldPath } from './field-path.ts';
import { ObjectMeta, type StoredMeta } from './meta.ts';
import { patternMessage, secretKey } from './pattern.ts';

/** `v1/Secret`, as far as Telos uses it. `stringData` is folded into `data` when it is stored. */
export const SecretSchema = z.object({
  apiVersion: z.literal('v1'),
  kind: z.literal('Secret'),
  metadata: ObjectMeta,
  type: z.string().optional(),
  immutable: z.boolean().optional(),
  data: z.record(z.string(), z.string()).optional().describe('Values in base64.'),
  stringData: z.record(z.string(), z.string()).optional().describe('Values as they are.'),
});

export type Secret = Omit<z.infer<typeof SecretSchema>, 'metadata'> & { metadata: StoredMeta };

/** The value of one key, decoded; undefined when the Secret has no such key. */
export function secretValue(secret: Pick<Secret, 'data'>, key: string): string | undefined {
  const { data } = secret;
  if (data === undefined || !Object.hasOwn(data, key)) return undefined;
  return Buffer.from(data[key] ?? '', 'base64').toString('utf8');
}

/** The data of a Secret with its stringData folded in, which wins; the same object when there is none. */
export function foldStringData(secret: Pick<Secret, 'data' | 'stringData'>): Secret['data'] {
  const { data, stringData } = secret;
  if (stringData === undefined) return data;
  const encoded = Object.entries(stringData).map(([key, value]) => [
    key,
    Buffer.from(value).toString('base64'),
  ]);
  return { ...data, ...(Object.fromEntries(encoded) as Record<string, string>) };
}

/** All values of a Secret together, in base64 as they are stored. */
const maxSecretBytes = 1024 * 1024;

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** What a Secret may not hold; no message ever quotes a value. */
export function secretFaults(secret: Secret, before: Secret | undefined): readonly Fault[] {
  const faults: Fault[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    const path = formatFieldPath(['data', key]);
    bytes += value.length;
    if (key.length > 253 || !secretKey.test(key)) {
      faults.push({ path, message: `the key ${patternMessage(secretKey.source)}` });
    }
    if (!isBase64(value)) faults.push({ path, message: 'must be base64 (use stringData for plain text)' });
  }
  if (bytes > maxSecretBytes) {
    faults.push({ path: 'data', message: `takes ${bytes} bytes; all values may take ${maxSecretBytes}` });
  }
  if (before?.immutable === true && !isDeepStrictEqual(secret.data, before.data)) {
    faults.push({
      path: 'data',
      message: 'cannot change: the Secret is immutable; delete it and make another',
    });
  }
  return faults;
}

function isBase64(text: string): boolean {
  // Encoders break long lines, and Kubernetes lets them.
  const letters = text.replace(/[\r\n]/g, '');
  return letters.length % 4 === 0 && base64.test(letters);
}
