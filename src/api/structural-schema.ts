import { z } from 'zod';
import { type Kind, kinds } from './kinds.ts';

/** One CEL rule of a schema, as it stands in `x-kubernetes-validations`. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  /** The field that a failure is reported at, relative to the value of the rule: `.prompt`. */
  readonly fieldPath?: string;
}

/** The part of OpenAPI v3 that a Kubernetes CRD may hold (a "structural schema"). */
export interface StructuralSchema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly anyOf?: readonly StructuralSchema[];
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-list-type'?: 'map' | 'set' | 'atomic';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'granular' | 'atomic';
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** The fields of every resource that the Kubernetes API defines, not the kind. */
export const commonFields: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

const cache = new Map<Kind, StructuralSchema>();

/** The schema of a kind as Kubernetes takes it; of the common fields it says only their type. */
export function structuralSchema(kind: Kind): StructuralSchema {
  let schema = cache.get(kind);
  if (schema === undefined) {
    schema = withPlainCommonFields(toStructural(kinds[kind].schema));
    cache.set(kind, schema);
  }
  return schema;
}

/** Translates a zod schema. */
export function toStructural(schema: z.ZodType): StructuralSchema {
  return z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    override: ({ jsonSchema }) => {
      makeStructural(jsonSchema as Record<string, unknown>);
    },
  }) as StructuralSchema;
}

/** What Kubernetes fills in and checks by itself must not be said again. */
function withPlainCommonFields(schema: StructuralSchema): StructuralSchema {
  return {
    ...schema,
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
    },
    required: (schema.required ?? []).filter((name) => !commonFields.has(name)),
  };
}

const longestExactInteger = Number.MAX_SAFE_INTEGER;

/** Removes, in place, what zod says beyond the structural subset. */
function makeStructural(node: Record<string, unknown>): void {
  if (node['x-kubernetes-int-or-string'] === true) {
    // The one place where a structural schema may put types inside anyOf, in exactly this form.
    node['anyOf'] = [{ type: 'integer' }, { type: 'string' }];
    return;
  }
  if (node['x-kubernetes-preserve-unknown-fields'] === true) {
    delete node['additionalProperties'];
    delete node['anyOf'];
  }
  if (node['type'] === 'integer') {
    node['format'] = node['maximum'] === 2_147_483_647 ? 'int32' : 'int64';
    if (node['minimum'] === -longestExactInteger || node['minimum'] === -2_147_483_648)
      delete node['minimum'];
    if (node['maximum'] === longestExactInteger || node['maximum'] === 2_147_483_647) delete node['maximum'];
  }
  mergeEnums(node);
}

/** `Enum | ''` is one enum with one more value. */
function mergeEnums(node: Record<string, unknown>): void {
  const options = node['anyOf'];
  if (!Array.isArray(options)) return;
  const values: unknown[] = [];
  for (const option of options as { type?: unknown; enum?: unknown }[]) {
    if (option.type !== 'string' || !Array.isArray(option.enum)) return;
    values.push(...option.enum);
  }
  delete node['anyOf'];
  node['type'] = 'string';
  node['enum'] = values;
}
