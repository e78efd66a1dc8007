import { createHash } from 'node:crypto';
import type { Fault } from '../../api/fault.ts';
import { formatFieldPath } from '../../api/field-path.ts';
import type { GenericWebhook, GenericWebhookFilter } from '../../api/task-spawner.ts';
import { TemplateError } from '../../base/go-template/template.ts';
import { configFaults, type EventSource, type Reading } from '../source.ts';
import { goText } from './go-text.ts';
import { compileJsonPath, compilePattern, type JsonPath } from './json-path.ts';

/**
 * The source `webhook`: events of any sender, as JSON. Fields of it become template variables, and filters
 * over them say which events count.
 * @throws SpawnerConfigError when a path or pattern is not one.
 */
export function webhookSource(spec: GenericWebhook): EventSource {
  const filters = (spec.filters ?? []).map((filter, index) => compileFilter(filter, `filters[${index}]`));
  const excludes = (spec.excludeFilters ?? []).map((filter, index) =>
    compileFilter(filter, `excludeFilters[${index}]`),
  );
  const fields = Object.entries(spec.fieldMapping).map(([name, path]) => mappedField(name, path));
  return {
    kind: 'event',
    read: ({ payload, body }) =>
      unlessTooLarge(() => {
        const refusal =
          filters.find((filter) => !filter.matches(payload))?.misses ??
          excludes.find((filter) => filter.matches(payload))?.hits;
        if (refusal !== undefined) return { outcome: 'filtered', reason: refusal };
        const mapped = mapFields(fields, payload);
        const deliveryId = deliveryIdOf(spec.source, fields, payload, body);
        return {
          outcome: 'item',
          item: {
            name: { kind: 'delivery', event: spec.source, deliveryId },
            variables: variablesOf(mapped, payload),
          },
        };
      }),
  };
}

/** Everything in the fields of a webhook source that is no JSONPath or no RE2 expression. */
export function webhookFaults(spec: GenericWebhook): readonly Fault[] {
  const filterFaults = (name: 'filters' | 'excludeFilters'): Fault[] =>
    (spec[name] ?? []).flatMap((filter, index) =>
      configFaults(() => compileFilter(filter, `${name}[${index}]`)),
    );
  return [
    ...Object.entries(spec.fieldMapping).flatMap(([name, path]) =>
      configFaults(() => mappedField(name, path)),
    ),
    ...filterFaults('filters'),
    ...filterFaults('excludeFilters'),
  ];
}

/** Printing a field is bounded as every template is. */
function unlessTooLarge(read: () => Reading): Reading {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    return { outcome: 'failed', reason: `a field of the event cannot be printed: ${thrown.message}` };
  }
}

interface MappedField {
  readonly name: string;
  readonly path: JsonPath;
}

function mappedField(name: string, path: string): MappedField {
  const where = formatFieldPath(['spec', 'when', 'webhook', 'fieldMapping', name]);
  return { name, path: compileJsonPath(path, where) };
}

interface CompiledFilter {
  matches(payload: unknown): boolean;
  /** Why an event is filtered when it does not match, and when it does. Constant: payloads stay out of it. */
  readonly misses: string;
  readonly hits: string;
}

function compileFilter(filter: GenericWebhookFilter, name: string): CompiledFilter {
  const where = `spec.when.webhook.${name}`;
  const path = compileJsonPath(filter.field, `${where}.field`);
  const test = textTest(filter, where);
  return {
    matches(payload) {
      const found = path(payload);
      return found.found && test(goText(found.value));
    },
    misses: `${name}: ${filter.field} does not match`,
    hits: `${name}: ${filter.field} matches`,
  };
}

function textTest(filter: GenericWebhookFilter, where: string): (text: string) => boolean {
  const { value, pattern } = filter;
  if (pattern !== undefined && pattern !== '') return compilePattern(pattern, `${where}.pattern`);
  return (text) => text === value;
}

/** Every mapped field as text; one that is not there is empty. */
function mapFields(fields: readonly MappedField[], payload: unknown): [string, string][] {
  return fields.map(({ name, path }) => {
    const found = path(payload);
    return [name, found.found ? goText(found.value) : ''];
  });
}

/** The four that templates may always use, and the spelling by which other sources know them. */
const wellKnown = [
  ['id', 'ID'],
  ['title', 'Title'],
  ['body', 'Body'],
  ['url', 'URL'],
] as const;

function variablesOf(mapped: readonly [string, string][], payload: unknown): Record<string, unknown> {
  const texts = new Map(mapped);
  const known = wellKnown.flatMap(([lower, upper]): [string, string][] => {
    const text = texts.get(lower) ?? '';
    return [
      [lower, text],
      [upper, text],
    ];
  });
  // From entries, so that a field called __proto__ is a key like any other.
  return Object.fromEntries<unknown>([...known, ...mapped, ['Kind', 'GenericWebhook'], ['Payload', payload]]);
}

/** What tells this event from others of the source: its mapped id, else all that it says. */
function deliveryIdOf(
  source: string,
  fields: readonly MappedField[],
  payload: unknown,
  body: Uint8Array,
): string {
  const found = fields.find(({ name }) => name === 'id')?.path(payload);
  const id = found?.found && found.value !== null ? goText(found.value) : '';
  return `generic-${source}-${id !== '' ? id : createHash('sha256').update(body).digest('hex')}`;
}
