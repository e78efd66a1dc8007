import type { Resource } from '../../api/kinds.ts';
import { onCompletionAnnotation } from '../../api/names.ts';
import { keyOf, type ResourceStore } from '../../store/store.ts';
import { CliError, FaultsError, UsageError } from '../cli-error.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import { readTarget } from '../read-resources.ts';
import { parseSelection, resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';

/** What a resource is marked with. */
export type Marks = 'annotations' | 'labels';

/** `telos annotate` and `telos label`: `KIND/NAME key=value… key-…`, as kubectl has it. */
export async function setMarks(
  context: CommandContext,
  args: readonly string[],
  marks: Marks,
  flags: { readonly overwrite?: boolean },
): Promise<void> {
  // A change has "=" in it or ends in "-", which no name does.
  const isChange = (arg: string): boolean => arg.includes('=') || arg.endsWith('-');
  const changes = new Map(args.filter(isChange).map(parseChange));
  const selection = parseSelection(
    args.filter((arg) => !isChange(arg)),
    context.options,
  );
  if (selection.by === 'kind')
    throw new UsageError('nothing chosen', 'arguments', 'name a resource: KIND/NAME');
  if (changes.size === 0) throw new UsageError('no change given', 'arguments', 'write KEY=VALUE or KEY-');
  const hooks = marks === 'annotations' ? changes.get(onCompletionAnnotation) : undefined;
  if (typeof hooks === 'string') await checkHooks(hooks);
  await withStore(context, async (store) => {
    for (const target of selection.targets) {
      const resource = await readTarget(store, target, context);
      await mark(store, resource, marks, changes, flags.overwrite ?? false, context.signal);
      printLine(context, `${resourceName(resource)} ${marks === 'labels' ? 'labeled' : 'annotated'}`);
    }
  });
}

/** A store takes any text there, and it would fail when the Task has ended. @throws FaultsError */
async function checkHooks(text: string): Promise<void> {
  const { hooksAnnotationFaults } = await import('../../api/hook-check.ts');
  const faults = hooksAnnotationFaults(text, ['metadata', 'annotations', onCompletionAnnotation]);
  if (faults.length > 0) throw new FaultsError(faults.map(({ path, message }) => `${path}: ${message}`));
}

function parseChange(arg: string): [key: string, value: string | null] {
  const equals = arg.indexOf('=');
  return equals === -1 ? [arg.slice(0, -1), null] : [arg.slice(0, equals), arg.slice(equals + 1)];
}

async function mark(
  store: ResourceStore,
  resource: Resource,
  marks: Marks,
  changes: ReadonlyMap<string, string | null>,
  overwrite: boolean,
  signal: AbortSignal,
): Promise<void> {
  const present = resource.metadata[marks] ?? {};
  for (const [key, value] of changes) {
    if (value === null || overwrite || !Object.hasOwn(present, key) || present[key] === value) continue;
    throw new CliError(`'${key}' has another value`, resourceName(resource), 'add --overwrite to replace it');
  }
  const patch = { metadata: { [marks]: Object.fromEntries(changes) } };
  await store.patch(resource.kind, keyOf(resource), patch, { signal });
}
