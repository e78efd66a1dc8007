import { z } from 'zod';
import { ObjectMeta, type StoredMeta } from './meta.ts';

/** `v1/Secret`, as far as Telos uses it. `stringData` is folded into `data` when it is stored. */
export const SecretSchema = z.object({
  apiVersion: z.literal('v1'),
  kind: z.literal('Secret'),
  metadata: ObjectMeta,
  type: z.string().optional(),
  immutable: z.boolean().optional(),
  data: z
    .record(
      z
        .string()
        .regex(/^[-._a-zA-Z0-9]+$/)
        .max(253),
      z.string(),
    )
    .optional(),
  stringData: z
    .record(
      z
        .string()
        .regex(/^[-._a-zA-Z0-9]+$/)
        .max(253),
      z.string(),
    )
    .optional(),
});

export type Secret = Omit<z.infer<typeof SecretSchema>, 'metadata'> & { metadata: StoredMeta };

/** The value of one key, decoded; undefined when the Secret has no such key. */
export function secretValue(secret: Pick<Secret, 'data'>, key: string): string | undefined {
  const { data } = secret;
  if (data === undefined || !Object.hasOwn(data, key)) return undefined;
  return Buffer.from(data[key] ?? '', 'base64').toString('utf8');
}
