import { createHash } from 'node:crypto';
import type { GenericWebhook, GenericWebhookFilter } from '../../api/task-spawner.ts';
import { TemplateError } from '../../base/go-template/template.ts';
import type { EventSource, Reading } from '../source.ts';
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
  const fields = Object.entries(spec.fieldMapping).map(
    ([name, path]): MappedField => ({
      name,
      path: compileJsonPath(path, `spec.when.webhook.fieldMapping.${name}`),
    }),
  );
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
