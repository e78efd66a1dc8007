import { isDeepStrictEqual } from 'node:util';
import type { Draft, Kind, Resource } from '../../api/kinds.ts';
import { isStoreError } from '../../store/errors.ts';
import type { Key, ResourceStore } from '../../store/store.ts';
import { type CheckedManifest, readCheckedManifests } from '../checked-manifests.ts';
import { CliError, UsageError } from '../cli-error.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import { isObjectFormat, printNames, printObjects } from '../print-resources.ts';
import { resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';

export interface ApplyFlags {
  readonly file?: readonly string[];
  readonly dryRun?: boolean;
}

/** `telos apply`: creates or updates. Nothing is written unless every manifest is right. */
export async function apply(context: CommandContext, flags: ApplyFlags): Promise<void> {
  const manifests = await readCheckedManifests(flags.file, context);
  await withStore(context, (store) => applyManifests(store, manifests, context, flags.dryRun ?? false));
}

/** Writes the manifests in their order, and says of each what came of it. */
export async function applyManifests(
  store: ResourceStore,
  manifests: readonly CheckedManifest[],
  context: CommandContext,
  dryRun: boolean,
): Promise<void> {
  const { output } = context.options;
  const drafts = manifests.map((manifest) => placed(manifest, context));
  const applied: Resource[] = [];
  for (const draft of drafts) {
    const { resource, outcome } = await applyOne(store, draft, { dryRun, signal: context.signal });
    applied.push(resource);
    if (output === 'table' || output === 'wide') {
      printLine(context, `${resourceName(resource)} ${outcome}${dryRun ? ' (dry run)' : ''}`);
    }
  }
  if (isObjectFormat(output)) printObjects(context, applied, true);
  if (output === 'name') printNames(context, applied);
}

/** What is written: in its namespace, and without what only a store says. */
function placed({ file, draft }: CheckedManifest, context: CommandContext): Draft & { metadata: Key } {
  const { namespace, namespaceGiven } = context.options;
  const own = draft.metadata.namespace;
  if (own !== undefined && namespaceGiven && own !== namespace) {
    throw new UsageError(
      `the namespace of the manifest is '${own}'`,
      `${file}: metadata.namespace`,
      `leave --namespace out, or make it ${own}`,
    );
  }
  const { uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, ...metadata } =
    draft.metadata;
  const { name = '' } = metadata;
  return { ...draft, metadata: { ...metadata, name, namespace: own ?? namespace } };
}

type Outcome = 'created' | 'configured' | 'unchanged';

/** How often an update that met another writer is tried anew. */
const maxConflicts = 10;

async function applyOne<K extends Kind>(
  store: ResourceStore,
  draft: Draft<K> & { metadata: Key },
  options: { readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<{ readonly resource: Resource<K>; readonly outcome: Outcome }> {
  const kind = draft.kind as K;
  for (let conflicts = 0; ; conflicts += 1) {
    try {
      const present = await find(store, kind, draft.metadata, options.signal);
      if (present === undefined)
        return { resource: await store.create<K>(draft, options), outcome: 'created' };
      const resource = await store.update<K>(merged(draft, present), options);
      // Contents, not versions: a dry run makes no version.
      return { resource, outcome: isDeepStrictEqual(resource, present) ? 'unchanged' : 'configured' };
    } catch (thrown) {
      const raced = isStoreError(thrown, 'Conflict') || isStoreError(thrown, 'AlreadyExists');
      if (!raced || conflicts >= maxConflicts) throw namingResource(thrown, draft);
    }
  }
}

async function find<K extends Kind>(
  store: ResourceStore,
  kind: K,
  key: Key,
  signal: AbortSignal,
): Promise<Resource<K> | undefined> {
  try {
    return await store.get(kind, key, { signal });
  } catch (thrown) {
    if (isStoreError(thrown, 'NotFound')) return undefined;
    throw thrown;
  }
}

/** The manifest's content; of labels, annotations and finalizers also those that others put there. */
function merged<K extends Kind>(draft: Draft<K>, present: Resource<K>): Draft<K> {
  const { metadata } = present;
  const { labels, annotations } = draft.metadata;
  return {
    ...draft,
    metadata: {
      ...metadata,
      ...draft.metadata,
      ...joined('labels', metadata.labels, labels),
      ...joined('annotations', metadata.annotations, annotations),
    },
  } as Draft<K>;
}

function joined(
  field: 'labels' | 'annotations',
  present: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>> | undefined,
): Partial<Record<'labels' | 'annotations', Record<string, string>>> {
  return present === undefined && wanted === undefined ? {} : { [field]: { ...present, ...wanted } };
}

/** Which of many resources the store refused. */
function namingResource(thrown: unknown, draft: Draft): unknown {
  if (!isStoreError(thrown, 'Invalid')) return thrown;
  const [fault] = thrown.faults;
  const what = fault === undefined ? thrown.message : `${fault.path}: ${fault.message}`;
  return new CliError('not applied', resourceName(draft), what, { cause: thrown });
}
