import { type Kind, kinds, type PrinterColumn } from './kinds.ts';
import { type StructuralSchema, structuralSchema } from './structural-schema.ts';

/** An `apiextensions.k8s.io/v1` CustomResourceDefinition, as far as Telos fills it in. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
    };
    readonly scope: 'Namespaced';
    readonly versions: readonly CustomResourceVersion[];
    readonly conversion: { readonly strategy: 'None' };
  };
}

interface CustomResourceVersion {
  readonly name: string;
  readonly served: true;
  readonly storage: boolean;
  readonly additionalPrinterColumns: readonly object[];
  readonly schema: { readonly openAPIV3Schema: StructuralSchema };
  readonly subresources?: { readonly status: Record<string, never> };
}

/**
 * The CRD of a kind. All its versions share one schema, so that objects need no conversion.
 * @throws Error for a kind that the Kubernetes API has itself
 */
export function customResourceDefinition(kind: Kind): CustomResourceDefinition {
  const { group, plural, singular, shortNames, versions, custom } = kinds[kind];
  if (!custom) throw new Error(`${kind} has no CRD: it belongs to Kubernetes`);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames },
      scope: 'Namespaced',
      versions: versions.map((name) => versionOf(kind, name)),
      conversion: { strategy: 'None' },
    },
  };
}

function versionOf(kind: Kind, name: string): CustomResourceVersion {
  const { versions, columns, status } = kinds[kind];
  return {
    name,
    served: true,
    storage: name === versions.at(-1),
    additionalPrinterColumns: columns.map(printerColumn),
    schema: { openAPIV3Schema: structuralSchema(kind) },
    ...(status ? { subresources: { status: {} } } : {}),
  };
}

function printerColumn({ name, type, path, wide }: PrinterColumn): object {
  // kubectl shows a date that is still to come as <invalid>.
  const shownAs = type === 'due' ? 'string' : type;
  return { name, type: shownAs, jsonPath: path, ...(wide === true ? { priority: 1 } : {}) };
}
