import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinition } from '../../src/api/crd.ts';
import { kindNames, kinds } from '../../src/api/kinds.ts';
import type { StructuralSchema } from '../../src/api/structural-schema.ts';
import { compileCel, maxCelLength } from '../../src/base/cel.ts';

const root = join(import.meta.dirname, '..', '..');
const custom = kindNames.filter((kind) => kinds[kind].custom);

/** Every node of a schema with its path. */
function* nodes(schema: StructuralSchema, path: string): Generator<[string, StructuralSchema]> {
  yield [path, schema];
  for (const [name, below] of Object.entries(schema.properties ?? {})) yield* nodes(below, `${path}.${name}`);
  if (schema.items !== undefined) yield* nodes(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* nodes(schema.additionalProperties, `${path}{}`);
}

function nodesOf(kind: (typeof custom)[number]): [string, StructuralSchema][] {
  const [version] = customResourceDefinition(kind).spec.versions;
  return version === undefined ? [] : [...nodes(version.schema.openAPIV3Schema, kind)];
}

describe('the CRD files', () => {
  it.each(custom)('of %s says what the schema says', (kind) => {
    const definition = customResourceDefinition(kind);
    const file = join(root, 'deploy', 'crds', `${definition.metadata.name}.yaml`);
    expect(parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(definition)));
  });

  it('are found current by the check, which writes nothing', async () => {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [join(root, 'scripts', 'generate.mjs'), '--check'],
      { cwd: root },
    );
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
  });
});

describe.each(custom)('the CRD of %s', (kind) => {
  it('gives every node a type, unless it is int-or-string or anything may stand there', () => {
    const untyped = nodesOf(kind).filter(
      ([, node]) =>
        node.type === undefined &&
        node['x-kubernetes-int-or-string'] !== true &&
        node['x-kubernetes-preserve-unknown-fields'] !== true,
    );
    expect(untyped).toEqual([]);
  });

  it('uses nothing that a structural schema may not hold', () => {
    const allowed = new Set([
      ...['type', 'description', 'format', 'pattern', 'enum', 'default', 'required', 'properties', 'items'],
      ...['minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems', 'maxProperties', 'anyOf'],
      ...['additionalProperties', 'x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields'],
      ...[
        'x-kubernetes-list-type',
        'x-kubernetes-list-map-keys',
        'x-kubernetes-map-type',
        'x-kubernetes-validations',
      ],
    ]);
    for (const [path, node] of nodesOf(kind)) {
      expect(
        Object.keys(node).filter((key) => !allowed.has(key)),
        path,
      ).toEqual([]);
      if (node.anyOf !== undefined) expect(node['x-kubernetes-int-or-string'], path).toBe(true);
      if (node.properties !== undefined) expect(node.additionalProperties, path).toBeUndefined();
      if (node.additionalProperties !== undefined) expect(node.additionalProperties, path).not.toEqual({});
    }
  });

  it('says of apiVersion, kind and metadata only their type', () => {
    const [, root] = nodesOf(kind)[0] ?? [];
    expect(root?.properties).toMatchObject({
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
    });
    expect(Object.keys(root?.properties?.['metadata'] ?? {})).toEqual(['type']);
    expect(root?.required).not.toContain('metadata');
  });

  it('requires the keys of its keyed lists', () => {
    for (const [path, node] of nodesOf(kind)) {
      if (node['x-kubernetes-list-type'] !== 'map') continue;
      expect(node.items?.required, path).toEqual(
        expect.arrayContaining([...(node['x-kubernetes-list-map-keys'] ?? ['none given'])]),
      );
    }
  });

  it('has only rules that compile, with a message, on lists of bounded size', () => {
    for (const [path, node] of nodesOf(kind)) {
      for (const { rule, message, fieldPath } of node['x-kubernetes-validations'] ?? []) {
        expect(rule.length, path).toBeLessThanOrEqual(maxCelLength);
        expect(() => compileCel(rule), path).not.toThrow();
        expect(message?.length, path).toBeGreaterThan(0);
        if (fieldPath !== undefined) expect(fieldPath, path).toMatch(/^(\.\w+)+$/);
      }
      if (node.type === 'array' && (node['x-kubernetes-validations'] ?? []).length > 0) {
        expect(node.maxItems, path).toBeGreaterThan(0);
      }
    }
  });

  it('bounds every list that has rules below it, as rules cost per entry', () => {
    const withRules = nodesOf(kind).filter(([, node]) => node['x-kubernetes-validations'] !== undefined);
    const unbounded = nodesOf(kind)
      .filter(([, node]) => node.type === 'array' && node.maxItems === undefined)
      .map(([path]) => `${path}[]`);
    expect(withRules.filter(([path]) => unbounded.some((list) => path.startsWith(list)))).toEqual([]);
  });

  it('stores the last version, serves all with one schema, and converts nothing', () => {
    const { versions, conversion } = customResourceDefinition(kind).spec;
    expect(conversion).toEqual({ strategy: 'None' });
    expect(versions.map(({ served }) => served)).not.toContain(false);
    expect(versions.filter(({ storage }) => storage).map(({ name }) => name)).toEqual([
      versions.at(-1)?.name,
    ]);
    for (const version of versions) expect(version.schema).toEqual(versions[0]?.schema);
  });
});

describe('the CRD of TaskSpawner and of Task', () => {
  it('serve v1alpha1 and store v1alpha2', () => {
    for (const kind of ['Task', 'TaskSpawner', 'Workspace', 'AgentConfig'] as const) {
      const { versions } = customResourceDefinition(kind).spec;
      expect(versions.map(({ name, storage }) => [name, storage])).toEqual([
        ['v1alpha1', false],
        ['v1alpha2', true],
      ]);
    }
  });

  it('has no CRD for what Kubernetes brings itself', () => {
    expect(() => customResourceDefinition('Secret')).toThrow('belongs to Kubernetes');
  });
});
