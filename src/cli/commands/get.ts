import type { Kind, Resource } from '../../api/kinds.ts';
import type { ResourceStore } from '../../store/store.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine, printNote } from '../command-context.ts';
import {
  inOrder,
  isObjectFormat,
  printNames,
  printObject,
  printObjects,
  tableOf,
} from '../print-resources.ts';
import { listChosen, readTarget } from '../read-resources.ts';
import { parseSelection, type ResourceSelection, resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';
import type { Table } from '../table.ts';

/** `telos get`: shows resources, and with `-w` their changes. */
export async function get(context: CommandContext, args: readonly string[]): Promise<void> {
  const selection = parseSelection(args, context.options);
  const [kind] = selectedKinds(selection);
  if (context.options.watch && (selectedKinds(selection).length !== 1 || kind === undefined)) {
    throw new UsageError('only one kind can be watched', '--watch', 'name one kind');
  }
  await withStore(context, async (store) => {
    const found = await read(store, selection, context);
    print(context, selection, found);
    if (context.options.watch && kind !== undefined) await watch(store, kind, found, selection, context);
  });
}

interface Found {
  readonly resources: readonly Resource[];
  /** Where a watch may begin. */
  readonly resourceVersion: string;
  /** The table printed, for later rows. */
  table?: Table;
}

function selectedKinds(selection: ResourceSelection): readonly Kind[] {
  return selection.by === 'kind'
    ? selection.kinds
    : [...new Set(selection.targets.map((target) => target.kind))];
}

async function read(
  store: ResourceStore,
  selection: ResourceSelection,
  context: CommandContext,
): Promise<Found> {
  const resources: Resource[] = [];
  let resourceVersion = '';
  if (selection.by === 'kind') {
    for (const kind of selection.kinds) {
      const listing = await listChosen(store, kind, context);
      resources.push(...listing.items);
      resourceVersion = listing.resourceVersion;
    }
    return { resources, resourceVersion };
  }
  const [first] = selection.targets;
  if (context.options.watch && first !== undefined) {
    // Only a list says from which version on one may watch.
    const { namespace } = context.options;
    const page = await store.list(first.kind, { namespace, limit: 1, signal: context.signal });
    resourceVersion = page.resourceVersion;
  }
  for (const target of selection.targets) resources.push(await readTarget(store, target, context));
  return { resources, resourceVersion };
}

function print(context: CommandContext, selection: ResourceSelection, found: Found): void {
  const { output, allNamespaces, namespace, watch } = context.options;
  const { resources } = found;
  if (isObjectFormat(output)) {
    if (watch) for (const resource of resources) printChange(context, resource);
    else printObjects(context, resources, selection.by === 'name');
    return;
  }
  if (output === 'name') {
    printNames(context, resources);
    return;
  }
  if (resources.length === 0) {
    printNote(
      context,
      allNamespaces ? 'No resources found.' : `No resources found in ${namespace} namespace.`,
    );
    return;
  }
  const present = selectedKinds(selection).filter((kind) =>
    resources.some((resource) => resource.kind === kind),
  );
  for (const [index, kind] of present.entries()) {
    if (index > 0) printLine(context, '');
    const table = tableOf(kind, context, selectedKinds(selection).length > 1);
    found.table = table;
    context.stdout.write(table.render(resources.filter((resource) => resource.kind === kind)));
  }
}

/** Shows every change after what was printed, until Ctrl-C. */
async function watch(
  store: ResourceStore,
  kind: Kind,
  found: Found,
  selection: ResourceSelection,
  context: CommandContext,
): Promise<void> {
  const { allNamespaces, namespace, selector, output } = context.options;
  const names = selection.by === 'name' ? new Set(selection.targets.map((target) => target.name)) : undefined;
  let { table } = found;
  let { resourceVersion } = found;
  for (;;) {
    context.signal.throwIfAborted();
    const events = store.watch(kind, {
      namespace: allNamespaces ? undefined : namespace,
      labelSelector: selector,
      resourceVersion,
      signal: context.signal,
    });
    for await (const event of events) {
      if (event.type === 'BOOKMARK') {
        resourceVersion = event.resourceVersion;
        continue;
      }
      const { resource } = event;
      resourceVersion = resource.metadata.resourceVersion;
      if (names !== undefined && !names.has(resource.metadata.name)) continue;
      if (isObjectFormat(output)) printChange(context, resource);
      else if (output === 'name') printLine(context, resourceName(resource));
      else if (table === undefined) {
        table = tableOf(kind, context, false);
        context.stdout.write(table.render([resource]));
      } else context.stdout.write(table.row(resource, context.clock.now()));
    }
  }
}

function printChange(context: CommandContext, resource: Resource): void {
  if (context.options.output === 'yaml') context.stdout.write('---\n');
  printObject(context, inOrder(resource));
}
