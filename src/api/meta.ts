import { z } from 'zod';
import { dnsLabel, dnsSubdomain } from './pattern.ts';

export { dnsLabel, dnsSubdomain } from './pattern.ts';

/** RFC 3339 with a zone, as the Kubernetes API writes `metav1.Time`. */
export const Time = z.string().meta({ format: 'date-time' });

export const OwnerReference = z.object({
  apiVersion: z.string().min(1),
  kind: z.string().min(1),
  name: z.string().min(1),
  uid: z.string().min(1),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});
export type OwnerReference = z.infer<typeof OwnerReference>;

/**
 * The metadata that Telos reads and writes, as in Kubernetes. In what a user writes only `name` (or
 * `generateName`) is required; the store sets `uid`, `resourceVersion`, `generation` and the timestamps.
 */
export const ObjectMeta = z.object({
  name: z.string().min(1).max(253).regex(dnsSubdomain).optional(),
  generateName: z.string().optional(),
  namespace: z.string().max(63).regex(dnsLabel).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(OwnerReference).optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.int().optional(),
  creationTimestamp: Time.optional(),
  deletionTimestamp: Time.optional(),
  deletionGracePeriodSeconds: z.int().optional(),
});
export type ObjectMeta = z.infer<typeof ObjectMeta>;

/** Metadata of a stored resource: what the store always fills in is there. */
export type StoredMeta = Omit<
  ObjectMeta,
  'name' | 'namespace' | 'uid' | 'resourceVersion' | 'creationTimestamp' | 'generateName'
> & {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
};

/** A reference to another resource of the same namespace, by name. */
export const LocalReference = z.object({ name: z.string().min(1).max(253) });

/** One key of a Secret of the same namespace. */
export const SecretKeyReference = z.object({
  name: z.string().min(1).max(253).describe('Name of the Secret.'),
  key: z.string().min(1).max(253).describe('Key in its data.'),
});
export type SecretKeyReference = z.infer<typeof SecretKeyReference>;

/** One environment variable, as in a Pod: a literal value, or a key of a Secret. */
export const EnvVar = z.object({
  name: z.string().min(1).max(256),
  value: z.string().optional(),
  valueFrom: z
    .object({
      secretKeyRef: SecretKeyReference.extend({ optional: z.boolean().optional() }).optional(),
    })
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional(),
});
export type EnvVar = z.infer<typeof EnvVar>;

/** `metav1.Condition`. */
export const Condition = z.object({
  type: z.string().max(316),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024),
  message: z.string().max(32768),
  lastTransitionTime: Time,
  observedGeneration: z.int().optional(),
});
export type Condition = z.infer<typeof Condition>;
