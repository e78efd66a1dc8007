import { parseBodyTemplate } from '../../api/body-template.ts';
import type { Payload } from '../../api/delivery.ts';
import type { Template } from '../../base/go-template/template.ts';
import { maxBodyBytes, wholePayload } from '../payload.ts';
import type { FormattedBody } from './formatted-body.ts';

/** Parsed templates by their text: hooks of one TaskSpawner share theirs. */
export class TemplateCache {
  readonly #parsed = new Map<string, Template>();

  /** @throws TemplateError */
  get(text: string): Template {
    let template = this.#parsed.get(text);
    if (template === undefined) {
      template = parseBodyTemplate(text);
      if (this.#parsed.size >= 64) this.#parsed.clear();
      this.#parsed.set(text, template);
    }
    return template;
  }
}

/**
 * The user's own body. Keys that a payload leaves out when empty are there, empty, so that a template need
 * not guard each of them.
 * @throws TemplateError
 */
export function formatTemplate(
  payload: Payload,
  template: Template,
  contentType = 'application/json',
): FormattedBody {
  return {
    contentType,
    headers: {},
    body: template.render(wholePayload(payload), { maxBytes: maxBodyBytes }),
  };
}
