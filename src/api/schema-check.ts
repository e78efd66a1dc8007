import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { nearest } from '../base/nearest.ts';
import { clampUtf8, escapeControls } from '../base/text.ts';
import type { Fault } from './fault.ts';
import { formatFieldPath } from './field-path.ts';
import { patternMessage } from './pattern.ts';
import type { StructuralSchema } from './structural-schema.ts';

/** Checks values of one schema: types, required fields, bounds, patterns. */
export interface SchemaCheck {
  /** Everything that is wrong with the value, paths beginning with `root`. */
  faults(value: unknown, root: readonly (string | number)[]): readonly Fault[];
}

/** More faults than anyone reads say nothing more. */
const maxFaults = 100;

const rfc3339Pattern = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Prepares the check; the compiling is put off until the first value comes. */
export function compileSchemaCheck(schema: StructuralSchema): SchemaCheck {
  let validate: ValidateFunction | undefined;
  return {
    faults(value, root) {
      validate ??= newAjv().compile(schema);
      if (validate(value)) return [];
      return dedupe((validate.errors ?? []).map((error) => toFault(error, value, root)));
    },
  };
}

function newAjv(): Ajv {
  return new Ajv({
    allErrors: true,
    verbose: true,
    messages: false,
    // Compiling is felt at the first write of each kind, so nothing is done twice: the schemas come from our own
    // generator, and what the optimizer saves at run time cannot be measured.
    validateSchema: false,
    code: { optimize: false },
    strict: true,
    strictTypes: false,
    strictRequired: false,
    allowUnionTypes: false,
    formats: {
      'date-time': (text: string) => rfc3339Pattern.test(text) && !Number.isNaN(Date.parse(text)),
      int32: { type: 'number', validate: (value: number) => Math.abs(value) <= 2_147_483_647 },
      int64: { type: 'number', validate: Number.isSafeInteger },
    },
  }).addVocabulary([
    'x-kubernetes-int-or-string',
    'x-kubernetes-preserve-unknown-fields',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
    'x-kubernetes-map-type',
    'x-kubernetes-validations',
  ]);
}

function toFault(error: ErrorObject, value: unknown, root: readonly (string | number)[]): Fault {
  const path = [...root, ...readPointer(error.instancePath, value)];
  if (error.keyword === 'required') path.push(String(error.params['missingProperty']));
  return { path: formatFieldPath(path), message: messageOf(error) };
}

/** Turns a JSON pointer into a path; only the value tells indexes from keys. */
function readPointer(pointer: string, value: unknown): (string | number)[] {
  let here = value;
  return pointer
    .split('/')
    .slice(1)
    .map((escaped) => {
      const name = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
      const segment = Array.isArray(here) ? Number(name) : name;
      here = typeof here === 'object' && here !== null ? Reflect.get(here, segment) : undefined;
      return segment;
    });
}

function messageOf(error: ErrorObject): string {
  const { keyword, data } = error;
  const limit = Number(error.params['limit']);
  switch (keyword) {
    case 'type':
      return `must be ${typeNames[String(error.params['type'])] ?? 'of another type'}, not ${typeOf(data)}`;
    case 'required':
      return 'is required';
    case 'enum':
      return enumMessage(error.params['allowedValues'] as readonly string[], data);
    case 'pattern':
      return patternMessage(String(error.params['pattern']));
    case 'format':
      return formatMessages[String(error.params['format'])] ?? 'is malformed';
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`;
    case 'maxLength':
      return `has ${String(data).length} characters; at most ${limit} are allowed`;
    case 'minItems':
      return limit === 1 ? 'must have at least one entry' : `must have at least ${limit} entries`;
    case 'maxItems':
      return `has ${(data as readonly unknown[]).length} entries; at most ${limit} are allowed`;
    case 'maxProperties':
      return `has ${Object.keys(data as object).length} entries; at most ${limit} are allowed`;
    case 'minimum':
      return `is ${String(data)}; must be at least ${limit}`;
    case 'maximum':
      return `is ${String(data)}; must be at most ${limit}`;
    case 'anyOf':
      return `must be a whole number or a string, not ${typeOf(data)}`;
    default:
      return `breaks the rule ${keyword}`;
  }
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

const formatMessages: Readonly<Record<string, string>> = {
  'date-time': 'must be a time like 2026-01-02T03:04:05Z (RFC 3339)',
  int32: 'must be a whole number of at most 2147483647',
  int64: 'must be a whole number of at most 9007199254740991',
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'object':
      return 'a mapping';
    case 'string':
      return 'a string';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    default:
      return 'something that is no JSON';
  }
}

function enumMessage(allowed: readonly string[], data: unknown): string {
  const listed = allowed.filter((value) => value !== '').join(', ');
  const what = allowed.length === 1 ? `must be ${listed}` : `must be one of ${listed}`;
  if (typeof data !== 'string' || data === '') return what;
  const right = nearest(data, allowed);
  const given = JSON.stringify(escapeControls(clampUtf8(data, 40)));
  return `${what}, not ${given}${right === undefined ? '' : `: did you mean ${right}?`}`;
}

/** A value of a wrong type breaks anyOf and all its branches; one fault per place and message is enough. */
function dedupe(faults: readonly Fault[]): readonly Fault[] {
  const byPath = new Map<string, Fault>();
  for (const fault of faults) {
    if (byPath.size >= maxFaults) break;
    const earlier = byPath.get(fault.path);
    if (earlier === undefined || fault.message.startsWith('must be a whole number or a string')) {
      byPath.set(fault.path, fault);
    }
  }
  return [...byPath.values()];
}
