import { parseTemplate, type Template } from '../base/go-template/template.ts';

const toJson = (value: unknown): string => JSON.stringify(value) ?? 'null';

/** Parses `webhook.template` of a hook, the Go template of a body over the payload. @throws TemplateError */
export function parseBodyTemplate(text: string): Template {
  return parseTemplate(text, { functions: { json: toJson, toJson } });
}
