import type { Kind, Resource } from '../api/kinds.ts';
import { type CommandContext, printLine } from './command-context.ts';
import type { OutputFormat } from './global-options.ts';
import { toJson, toYaml } from './object-text.ts';
import { resourceName } from './resource-argument.ts';
import { Table, type TableOptions } from './table.ts';

/** Whether a format shows whole objects. */
export function isObjectFormat(format: OutputFormat): format is 'json' | 'yaml' {
  return format === 'json' || format === 'yaml';
}

/** Writes any value as JSON or YAML. */
export function printObject(context: CommandContext, object: unknown): void {
  context.stdout.write(context.options.output === 'yaml' ? toYaml(object) : toJson(object));
}

/** Writes one thing as that object, several as a List, for `-o json` and `-o yaml`. */
export function printObjects(context: CommandContext, resources: readonly Resource[], single: boolean): void {
  const [only] = resources;
  printObject(
    context,
    single && resources.length === 1 && only !== undefined
      ? inOrder(only)
      : { apiVersion: 'v1', kind: 'List', items: resources.map(inOrder) },
  );
}

/** `-o name`: `task/x` a line. */
export function printNames(context: CommandContext, resources: readonly Resource[]): void {
  for (const resource of resources) printLine(context, resourceName(resource));
}

/** The table of a kind as the options want it. */
export function tableOf(kind: Kind, context: CommandContext, several: boolean): Table {
  const { options, clock } = context;
  const tableOptions: TableOptions = {
    wide: options.output === 'wide',
    namespaces: options.allNamespaces,
    kinds: several,
    color: options.color,
    nowMs: clock.now(),
  };
  return new Table(kind, tableOptions);
}

/** As people write manifests: apiVersion, kind and metadata first, in it the name first, status last. */
export function inOrder(resource: Resource): Record<string, unknown> {
  const { apiVersion, kind, metadata, status, ...rest } = resource as Resource & { status?: unknown };
  const { name, namespace, labels, annotations, ...ofStore } = metadata;
  const shownMetadata = {
    name,
    namespace,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...ofStore,
  };
  return { apiVersion, kind, metadata: shownMetadata, ...rest, ...(status === undefined ? {} : { status }) };
}
