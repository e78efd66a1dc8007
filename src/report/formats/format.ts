import type { z } from 'zod';
import type { Payload } from '../../api/delivery.ts';
import type { HookWebhook } from '../../api/hook.ts';
import { TelosError } from '../../base/errors.ts';
import { formatCloudEvent } from './cloudevents.ts';
import type { FormattedBody } from './formatted-body.ts';
import { renderJson } from './json.ts';
import { formatTemplate, type TemplateCache } from './template.ts';

/** The format is known, but this version cannot write it. */
export class FormatError extends TelosError {
  constructor(message: string) {
    super('Format', message);
  }
}

/**
 * Writes the body that a hook wants.
 * @throws TemplateError when its template cannot be parsed or rendered, FormatError for a format not built yet.
 */
export function formatBody(
  payload: Payload,
  webhook: z.infer<typeof HookWebhook>,
  id: string,
  templates: TemplateCache,
): FormattedBody {
  if (webhook.template !== undefined)
    return formatTemplate(payload, templates.get(webhook.template), webhook.contentType);
  const format = webhook.format ?? 'json';
  switch (format) {
    case 'json':
      return { contentType: 'application/json', headers: {}, body: renderJson(payload) };
    case 'cloudevents':
      return formatCloudEvent(payload, id);
    case 'slack':
    case 'teams':
    case 'discord':
    case 'pagerduty':
      throw new FormatError(
        `webhook.format: ${format} is not built yet in this version; use json, cloudevents or template`,
      );
  }
}
