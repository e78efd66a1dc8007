import { isDeepStrictEqual } from 'node:util';
import { nearest } from '../base/nearest.ts';
import type { Fault } from './fault.ts';
import { apiVersionOf, apiVersionsOf, type Kind, type Resource } from './kinds.ts';
import { metadataFaults, pruneMetadata } from './metadata.ts';
import { compilePruner, type PruneOptions, type Pruner, unknownField } from './pruning.ts';
import { compileSchemaCheck, type SchemaCheck } from './schema-check.ts';
import { foldStringData, type Secret, secretFaults } from './secret.ts';
import { commonFields, type StructuralSchema, structuralSchema } from './structural-schema.ts';
import { compileRuleCheck, type RuleCheck } from './validation-rules.ts';

/** What becomes of fields that the schema does not know: removed in silence, or a fault each. */
export type UnknownFields = 'prune' | 'refuse';

/** What is written: all but the status, only the status, or everything. */
export type Part = 'main' | 'status' | 'all';

export interface AdmitOptions {
  /** What is stored now; transition rules compare with it. Absent when the resource is new. */
  readonly before?: Resource | undefined;
  /** Default: main. What does not belong to the part is neither looked at nor changed. */
  readonly part?: Part;
  readonly unknownFields: UnknownFields;
}

export interface Admission {
  /** The object to store: the very one that was given when nothing had to be changed. */
  readonly object: Record<string, unknown>;
  /** Why it must not be stored; empty when it may. */
  readonly faults: readonly Fault[];
}

/**
 * What a Kubernetes API server does with a written object before it stores it: removes (or refuses) unknown
 * fields and those that are null, fills in defaults, checks schema, list keys, CEL rules and metadata. Pure; never throws for bad input.
 *
 * Every served apiVersion of the kind is taken and changed to the stored one: the versions share one schema.
 * What did not change since `before` is not judged again, as an API server does it too.
 */
export function admit(kind: Kind, object: unknown, options: AdmitOptions): Admission {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    return {
      object: {},
      faults: [{ path: '', message: `must be a mapping with apiVersion, kind and metadata` }],
    };
  }
  const given = object as Record<string, unknown>;
  const { before, part = 'main', unknownFields } = options;
  const old = before as Readonly<Record<string, unknown>> | undefined;
  const faults = headFaults(kind, given);
  const unknown: Fault[] = [];
  const found = { nullIsAbsent: unknownFields === 'prune', unknown, faults };
  const draft = new Draft(given);

  draft.set('apiVersion', apiVersionOf(kind));
  if (part !== 'status') {
    const metadata = pruneMetadata(given['metadata'], unknown, faults);
    draft.set('metadata', metadata);
    faults.push(...metadataFaults(metadata, old?.['metadata']));
  }
  const judges = judgesOf(kind);
  for (const name of Object.keys(given)) {
    if (judges.has(name) || commonFields.has(name)) continue;
    draft.set(name, undefined);
    unknown.push(unknownField([name], name, judges.keys()));
  }
  for (const [name, judge] of judges) {
    const included = part === 'all' || (name === 'status') === (part === 'status');
    if (included) draft.set(name, judgeField(judge, given[name], old?.[name], found));
  }
  if (unknownFields === 'refuse') faults.push(...unknown);
  if (kind === 'Secret' && faults.length === 0) {
    draft.set('data', foldStringData(draft.object as Pick<Secret, 'data' | 'stringData'>));
    draft.set('stringData', undefined);
    faults.push(...secretFaults(draft.object as Secret, before as Secret | undefined));
  }
  return { object: draft.object, faults };
}

/** An object that is copied when it is first changed. */
class Draft {
  object: Record<string, unknown>;
  #copied = false;

  constructor(object: Record<string, unknown>) {
    this.object = object;
  }

  /** Sets a field; undefined removes it. */
  set(name: string, value: unknown): void {
    if (this.object[name] === value) return;
    if (!this.#copied) this.object = { ...this.object };
    this.#copied = true;
    if (value === undefined) delete this.object[name];
    else this.object[name] = value;
  }
}

/** The checks of one field of the root, such as `spec`. */
interface Judge {
  readonly name: string;
  readonly required: boolean;
  readonly pruner: Pruner;
  readonly shape: SchemaCheck;
  readonly rules: RuleCheck;
}

const judgesByKind = new Map<Kind, ReadonlyMap<string, Judge>>();

function judgesOf(kind: Kind): ReadonlyMap<string, Judge> {
  let judges = judgesByKind.get(kind);
  if (judges === undefined) {
    const schema = structuralSchema(kind);
    const fields = Object.entries(schema.properties ?? {}).filter(([name]) => !commonFields.has(name));
    judges = new Map(fields.map(([name, field]) => [name, compileJudge(name, field, schema)]));
    judgesByKind.set(kind, judges);
  }
  return judges;
}

function compileJudge(name: string, schema: StructuralSchema, root: StructuralSchema): Judge {
  return {
    name,
    required: root.required?.includes(name) === true,
    pruner: compilePruner(schema),
    shape: compileSchemaCheck(schema),
    rules: compileRuleCheck(schema),
  };
}

/** Judges one field and returns what to store of it. */
function judgeField(judge: Judge, given: unknown, before: unknown, options: PruneOptions): unknown {
  const { faults } = options;
  const root = [judge.name];
  if (given === undefined || (given === null && options.nullIsAbsent)) {
    if (judge.required) faults.push({ path: judge.name, message: 'is required' });
    return undefined;
  }
  if (before !== undefined && isDeepStrictEqual(given, before)) return given;
  const value = judge.pruner.prune(given, root, options);
  const misshapen = judge.shape.faults(value, root);
  // A rule may only look at what has the shape that it expects.
  faults.push(...(misshapen.length > 0 ? misshapen : judge.rules.faults(value, before, root)));
  return value;
}

/** Checks kind and apiVersion. */
function headFaults(kind: Kind, given: Readonly<Record<string, unknown>>): Fault[] {
  const faults: Fault[] = [];
  if (given['kind'] !== kind) faults.push({ path: 'kind', message: `must be ${kind}` });
  const version = given['apiVersion'];
  if (version === undefined) {
    faults.push({ path: 'apiVersion', message: `is required: ${apiVersionOf(kind)}` });
  } else if (!apiVersionsOf(kind).some((served) => served === version)) {
    faults.push({ path: 'apiVersion', message: apiVersionMessage(kind, version) });
  }
  return faults;
}

function apiVersionMessage(kind: Kind, version: unknown): string {
  const served = apiVersionsOf(kind);
  const right = typeof version === 'string' ? nearest(version, served.toReversed()) : undefined;
  return `must be ${served.join(' or ')}${right === undefined ? '' : `: did you mean ${right}?`}`;
}
