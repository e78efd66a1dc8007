import type { Fault } from '../api/fault.ts';
import { type FieldPath, formatFieldPath } from '../api/field-path.ts';
import type { TaskTemplate } from '../api/task-spawner.ts';
import { effectiveWorker } from '../api/worker.ts';
import { parseTemplate, type Template, TemplateError } from '../base/go-template/template.ts';
import { configFaults, SpawnerConfigError } from './source.ts';

/** One templated field: where it stands, and its template. */
export interface FieldTemplate {
  readonly path: string;
  readonly template: Template;
}

/** The templated fields of a taskTemplate, parsed. */
export interface TaskTemplates {
  readonly prompt: FieldTemplate;
  readonly name: FieldTemplate | undefined;
  readonly branch: FieldTemplate | undefined;
  /** For type command: one for each argument. */
  readonly command: readonly FieldTemplate[] | undefined;
  readonly labels: ReadonlyMap<string, FieldTemplate>;
  readonly annotations: ReadonlyMap<string, FieldTemplate>;
}

/**
 * Parses every templated field of a taskTemplate.
 * @throws SpawnerConfigError naming the field, the line and the column of the first that is not a template.
 */
export function parseTaskTemplates(taskTemplate: TaskTemplate): TaskTemplates {
  const { promptTemplate, nameTemplate, branch, command, metadata } = taskTemplate;
  const isCommand = effectiveWorker(taskTemplate).type === 'command';
  return {
    prompt: parse(['promptTemplate'], promptTemplate || '{{.Title}}'),
    name: nameTemplate ? parse(['nameTemplate'], nameTemplate) : undefined,
    branch: branch ? parse(['branch'], branch) : undefined,
    command: isCommand ? command?.map((text, index) => parse(['command', index], text)) : undefined,
    labels: parseAll(['metadata', 'labels'], metadata?.labels),
    annotations: parseAll(['metadata', 'annotations'], metadata?.annotations),
  };
}

/** Everything in the templated fields of a taskTemplate that is no template. */
export function templateFaults(taskTemplate: TaskTemplate): readonly Fault[] {
  const { promptTemplate, nameTemplate, branch, command, metadata } = taskTemplate;
  const { labels = {}, annotations = {} } = metadata ?? {};
  const isCommand = effectiveWorker(taskTemplate).type === 'command';
  const texts: readonly (readonly [FieldPath, string | undefined])[] = [
    [['promptTemplate'], promptTemplate],
    [['nameTemplate'], nameTemplate],
    [['branch'], branch],
    ...(isCommand ? (command ?? []) : []).map((text, index) => [['command', index], text] as const),
    ...Object.entries(labels).map(([key, text]) => [['metadata', 'labels', key], text] as const),
    ...Object.entries(annotations).map(([key, text]) => [['metadata', 'annotations', key], text] as const),
  ];
  return texts.flatMap(([path, text]) => (text ? configFaults(() => parse(path, text)) : []));
}

/** A rendered field, or one line that says where and why it could not be. */
export type Rendered =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string };

/** Renders one field. Never throws for what templates and events do. */
export function render(field: FieldTemplate, variables: Readonly<Record<string, unknown>>): Rendered {
  try {
    return { ok: true, text: field.template.render(variables) };
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    return { ok: false, reason: `${field.path}: ${thrown.message}` };
  }
}

function parse(field: FieldPath, text: string): FieldTemplate {
  const path = formatFieldPath(['spec', 'taskTemplate', ...field]);
  try {
    return { path, template: parseTemplate(text) };
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    throw new SpawnerConfigError('TemplateInvalid', { path, message: thrown.message }, { cause: thrown });
  }
}

function parseAll(
  field: FieldPath,
  texts: Readonly<Record<string, string>> | undefined,
): ReadonlyMap<string, FieldTemplate> {
  return new Map(Object.entries(texts ?? {}).map(([key, text]) => [key, parse([...field, key], text)]));
}
