import { z } from 'zod';
import { LocalReference, SecretKeyReference } from './meta.ts';
import { dnsLabel, hookUrl } from './pattern.ts';

/** The phases in which a Task has ended. */
export const TerminalPhase = z.enum(['Succeeded', 'Failed']);
export type TerminalPhase = z.infer<typeof TerminalPhase>;

/** What the text of a hook URL must look like, as a schema says it; see `hookUrl` in `pattern.ts`. */
export const hookUrlPattern = hookUrl.source;

const HookUrl = z
  .string()
  .min(1)
  .max(2048)
  .regex(hookUrl)
  .describe('Where to POST: an https URL without user or password.');

/** The body that a webhook carries. */
export const HookFormat = z.enum(['json', 'cloudevents', 'slack', 'teams', 'discord', 'pagerduty']);
export type HookFormat = z.infer<typeof HookFormat>;

export const HookWebhook = z
  .object({
    url: HookUrl.optional(),
    urlFrom: z
      .object({ secretKeyRef: SecretKeyReference })
      .optional()
      .describe('Takes the URL from a Secret: chat URLs are credentials.'),
    secretRef: LocalReference.optional().describe('Every key of this Secret is sent as a header.'),
    format: HookFormat.optional().describe('The body. Default: json.'),
    signing: z
      .object({ secretRef: SecretKeyReference })
      .optional()
      .describe(
        'Signs each attempt as Standard Webhooks says; the value is whsec_…, several during rotation.',
      ),
    routingKey: z
      .object({ secretRef: SecretKeyReference })
      .optional()
      .describe('Events API routing key, for format pagerduty.'),
    template: z.string().min(1).max(65536).optional().describe('Own body: a Go template over the payload.'),
    contentType: z
      .string()
      .min(1)
      .max(256)
      // A header value: printable ASCII and inner spaces, no line break.
      .regex(/^[!-~]([ -~]*[!-~])?$/)
      .optional()
      .describe('Content type of the templated body.'),
    timeoutSeconds: z.int32().min(1).max(60).optional().describe('For one whole attempt. Default: 10.'),
    retry: z
      .object({ maxAttempts: z.int32().min(1).max(20).optional() })
      .optional()
      .describe('How often to try. Default: 10 attempts in about 28 hours.'),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'has(self.url) || has(self.urlFrom) || (has(self.format) && self.format == "pagerduty")',
        message: 'one of url and urlFrom is required',
      },
      { rule: '!(has(self.url) && has(self.urlFrom))', message: 'url and urlFrom exclude each other' },
      {
        rule: '!has(self.routingKey) || (has(self.format) && self.format == "pagerduty")',
        message: 'routingKey goes with format: pagerduty',
      },
      { rule: '!has(self.contentType) || has(self.template)', message: 'contentType goes with template' },
    ],
  });

/** One entry of `spec.onCompletion.hooks`: who must be told when a Task ends. */
export const Hook = z.object({
  name: z.string().min(1).max(63).regex(dnsLabel).describe('Unique among the hooks: a DNS label.'),
  phases: z
    .array(TerminalPhase)
    .max(2)
    .optional()
    .describe('The phases to tell of. Default: both.')
    .meta({ 'x-kubernetes-list-type': 'set' }),
  filter: z
    .string()
    .min(1)
    .max(2048)
    .optional()
    .describe('CEL over the payload, as `task`; the hook is told only when it is true.'),
  webhook: HookWebhook,
});
export type Hook = z.infer<typeof Hook>;

/** The hooks of a TaskSpawner, and, as JSON, of annotation `kelos.dev/on-completion`: 1 to 8, names unique. */
export const Hooks = z
  .array(Hook)
  .min(1)
  .max(8)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] });

export type Hooks = z.infer<typeof Hooks>;

export const OnCompletion = z.object({ hooks: Hooks });
export type OnCompletion = z.infer<typeof OnCompletion>;
