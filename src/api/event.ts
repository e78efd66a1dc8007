import { z } from 'zod';
import { ObjectMeta, type StoredMeta, Time } from './meta.ts';

/** `v1/Event`, as far as Telos uses it: something that happened to a resource, for people to read. */
export const EventSchema = z.object({
  apiVersion: z.literal('v1'),
  kind: z.literal('Event'),
  metadata: ObjectMeta,
  involvedObject: z.object({
    apiVersion: z.string().optional(),
    kind: z.string(),
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
  }),
  type: z.enum(['Normal', 'Warning']),
  reason: z.string().max(128),
  message: z.string().max(1024),
  count: z.int32().optional(),
  firstTimestamp: Time.optional(),
  lastTimestamp: Time.optional(),
  source: z.object({ component: z.string().optional() }).optional(),
});

export type Event = Omit<z.infer<typeof EventSchema>, 'metadata'> & { metadata: StoredMeta };
