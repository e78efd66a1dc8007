import { z } from 'zod';
import { TerminalPhase } from './hook.ts';
import { ObjectMeta, type StoredMeta, Time } from './meta.ts';
import { deliveryId } from './pattern.ts';

/**
 * Why an attempt or a Delivery ended as it did. Stable words: metrics, `--reason` and receivers' runbooks
 * use them. The verdict behind each stands in `docs/deliveries.md`.
 */
export const DeliveryReason = z.enum([
  'Delivered',
  'HTTPStatus',
  'Redirect',
  'Rejected',
  'RateLimited',
  'Unavailable',
  'Gone',
  'DNS',
  'Connect',
  'TLS',
  'Reset',
  'Timeout',
  'Proxy',
  'Blocked',
  'SecretNotFound',
  'SecretNotAllowed',
  'InvalidHeader',
  'InvalidHook',
  'FilterFalse',
  'Filter',
  'Template',
  'Expired',
  'Exhausted',
  'Canceled',
  'Internal',
]);
export type DeliveryReason = z.infer<typeof DeliveryReason>;

export const DeliveryPhase = z.enum(['Pending', 'Retrying', 'Delivered', 'Failed', 'Skipped']);
export type DeliveryPhase = z.infer<typeof DeliveryPhase>;

/**
 * What a hook is told: the compatible core, keys in this order, empty ones omitted, times RFC 3339 in UTC
 * with whole seconds. `truncated` names the paths that were cut to keep the size bounded.
 */
export const Payload = z.object({
  task: z.string(),
  namespace: z.string(),
  spawner: z.string().optional(),
  phase: TerminalPhase,
  message: z.string().optional(),
  agentType: z.string().optional(),
  model: z.string().optional(),
  startTime: z.string().optional(),
  completionTime: z.string().optional(),
  outputs: z.array(z.string()).optional(),
  results: z.record(z.string(), z.string()).optional(),
  truncated: z.array(z.string()).optional(),
});
export type Payload = z.infer<typeof Payload>;

/** One try at a Delivery. `durationMs` and its parts are milliseconds; absent parts were not reached. */
export const Attempt = z.object({
  number: z.int32().min(1),
  at: z.string().describe('When it began: RFC 3339 with milliseconds.'),
  reason: DeliveryReason,
  message: z.string().optional(),
  httpStatus: z.int32().optional(),
  address: z.string().optional().describe('The address and port that was dialled.'),
  durationMs: z.int32().optional(),
  dnsMs: z.int32().optional(),
  connectMs: z.int32().optional(),
  tlsMs: z.int32().optional(),
  firstByteMs: z.int32().optional(),
  answer: z.string().optional().describe('The first 512 bytes of the answer, control characters escaped.'),
  pause: z
    .object({ origin: z.string(), until: z.string().describe('RFC 3339 with milliseconds.') })
    .optional()
    .describe('The origin that asked to be left alone (429, 503), and until when nothing is sent there.'),
});
export type Attempt = z.infer<typeof Attempt>;

export const DeliverySpec = z
  .object({
    id: z
      .string()
      .regex(deliveryId)
      .describe('The webhook-id: the same on every attempt, restart and replica.'),
    task: z.object({
      name: z.string(),
      uid: z.string(),
      phase: TerminalPhase,
      completionTime: z.string().optional(),
      spawner: z.string().optional(),
    }),
    // Loose, because a hook that breaks the rules is recorded too (Failed, reason InvalidHook).
    hook: z.looseObject({ name: z.string() }).meta({ 'x-kubernetes-preserve-unknown-fields': true }),
    payload: Payload,
  })
  .meta({
    // Written once and whole: who owns which field of it need not be kept, nor compared with each write.
    'x-kubernetes-map-type': 'atomic',
    'x-kubernetes-validations': [
      { rule: 'self == oldSelf', message: 'the spec of a Delivery cannot change' },
    ],
  });

export const DeliveryStatus = z.object({
  phase: DeliveryPhase.optional(),
  attemptCount: z.int32().min(0).optional(),
  scheduleStart: z
    .int32()
    .min(0)
    .optional()
    .describe('attemptCount when the schedule in force began: redelivering starts a fresh one.'),
  attempts: z.array(Attempt).max(10).optional().describe('The last ten.'),
  nextAttemptAt: z.string().optional().describe('RFC 3339 with milliseconds.'),
  reason: DeliveryReason.optional(),
  message: z.string().optional(),
  settledAt: Time.optional(),
  goneUrlVersion: z
    .string()
    .optional()
    .describe(
      'Of a URL in a Secret that answered 410: the version of the Secret. While it lasts, so does the 410.',
    ),
  redelivered: z
    .string()
    .optional()
    .describe(
      'The last value of annotation telos.dev/redeliver acted on; Pending: the phase was set back to it by hand.',
    ),
});
export type DeliveryStatus = z.infer<typeof DeliveryStatus>;

export const DeliverySchema = z
  .object({
    apiVersion: z.string(),
    kind: z.literal('Delivery'),
    metadata: ObjectMeta,
    spec: DeliverySpec,
    // Said from the start, so that a list shows it before the first attempt.
    status: DeliveryStatus.optional().meta({ default: { phase: 'Pending' } }),
  })
  .describe('The durable record that one hook must be told about one terminal run of one Task.');

/** The durable record that one hook must be told about one terminal run of one Task. */
export type Delivery = Omit<z.infer<typeof DeliverySchema>, 'metadata'> & { metadata: StoredMeta };

/** Whether a Delivery needs no more attempts. */
export function isSettled(delivery: { status?: { phase?: string | undefined } | undefined }): boolean {
  const phase = delivery.status?.phase;
  return phase === 'Delivered' || phase === 'Failed' || phase === 'Skipped';
}
