import type { Kind, Resource } from '../../api/kinds.ts';
import { isStoreError } from '../../store/errors.ts';
import { type Key, keyOf, type ResourceStore } from '../../store/store.ts';
import { readCheckedManifests } from '../checked-manifests.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine, printNote } from '../command-context.ts';
import { listChosen } from '../read-resources.ts';
import { missing, parseSelection, resourceName, type Target } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';

export interface DeleteFlags {
  readonly file?: readonly string[];
  readonly all?: boolean;
  /** False with `--no-wait`. */
  readonly wait?: boolean;
  readonly ignoreNotFound?: boolean;
}

interface Doomed extends Target {
  readonly namespace: string;
}

/** `telos delete`: removes resources, and waits until they are gone. */
export async function deleteResources(
  context: CommandContext,
  args: readonly string[],
  flags: DeleteFlags,
): Promise<void> {
  const choose = await chooser(context, args, flags);
  await withStore(context, async (store) => {
    const deleting: Resource[] = [];
    for (const doomed of await choose(store)) {
      const resource = await remove(store, doomed, context, flags.ignoreNotFound ?? false);
      if (resource === undefined) continue;
      const gone = resource.metadata.deletionTimestamp === undefined || !resource.metadata.finalizers?.length;
      printLine(
        context,
        `${resourceName(resource)} ${gone || flags.wait !== false ? 'deleted' : 'is being deleted'}`,
      );
      if (!gone) deleting.push(resource);
    }
    if (flags.wait === false) return;
    for (const resource of deleting) await untilGone(store, resource, context);
  });
}

/** Reads what is to be deleted; only when that is a kind or a selector, the store is asked. */
async function chooser(
  context: CommandContext,
  args: readonly string[],
  flags: DeleteFlags,
): Promise<(store: ResourceStore) => Promise<readonly Doomed[]>> {
  const { namespace, selector } = context.options;
  if (flags.file !== undefined) {
    if (args.length > 0) throw new UsageError('arguments and -f exclude each other', '-f', 'leave one out');
    const manifests = await readCheckedManifests(flags.file, context);
    return async () =>
      manifests.map(({ kind, draft }) => ({
        kind,
        name: draft.metadata.name ?? '',
        namespace: draft.metadata.namespace ?? namespace,
      }));
  }
  const selection = parseSelection(args, context.options);
  if (selection.by === 'name') {
    if (flags.all) throw new UsageError('a name and --all exclude each other', '--all', 'leave one out');
    return async () => selection.targets.map((target) => ({ ...target, namespace }));
  }
  if (flags.all !== true && selector === undefined) {
    throw new UsageError('nothing chosen', 'arguments', 'give names, --selector or --all');
  }
  return (store) => listDoomed(store, selection.kinds, context);
}

async function listDoomed(
  store: ResourceStore,
  kindsChosen: readonly Kind[],
  context: CommandContext,
): Promise<readonly Doomed[]> {
  const doomed: Doomed[] = [];
  for (const kind of kindsChosen) {
    const { items } = await listChosen(store, kind, context);
    doomed.push(...items.map((item) => ({ kind, ...keyOf(item) })));
  }
  return doomed;
}

async function remove(
  store: ResourceStore,
  doomed: Doomed,
  context: CommandContext,
  ignoreNotFound: boolean,
): Promise<Resource | undefined> {
  try {
    return await store.delete(doomed.kind, keyIn(doomed), { signal: context.signal });
  } catch (thrown) {
    if (!isStoreError(thrown, 'NotFound')) throw thrown;
    if (ignoreNotFound) return undefined;
    throw missing(doomed, doomed.namespace, thrown);
  }
}

function keyIn({ namespace, name }: Doomed): Key {
  return { namespace, name };
}

/** Waits until the resource that was deleted is gone; one made anew under its name is another. */
async function untilGone(store: ResourceStore, deleted: Resource, context: CommandContext): Promise<void> {
  const key = keyOf(deleted);
  const { kind } = deleted;
  const stillThere = async (): Promise<Resource | undefined> => {
    try {
      const present = await store.get<Kind>(kind, key, { signal: context.signal });
      return present.metadata.uid === deleted.metadata.uid ? present : undefined;
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return undefined;
      throw thrown;
    }
  };
  const { signal } = context;
  const { resourceVersion } = await store.list(kind, { namespace: key.namespace, limit: 1, signal });
  const present = await stillThere();
  if (present === undefined) return;
  const holders = present.metadata.finalizers?.join(', ') ?? '';
  printNote(
    context,
    `waiting for ${holders} to let ${resourceName(present)} go (needs telos up; --no-wait does not wait)`,
  );
  for await (const event of store.watch(kind, { namespace: key.namespace, resourceVersion, signal })) {
    if (event.type === 'DELETED' && event.resource.metadata.uid === deleted.metadata.uid) return;
  }
  signal.throwIfAborted();
  if ((await stillThere()) !== undefined) await untilGone(store, deleted, context);
}
