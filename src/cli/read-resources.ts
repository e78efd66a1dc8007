import type { Kind, Resource } from '../api/kinds.ts';
import { isStoreError } from '../store/errors.ts';
import type { ResourceStore } from '../store/store.ts';
import type { CommandContext } from './command-context.ts';
import { missing, type Target } from './resource-argument.ts';

/** Resources in one page of a list. */
const pageSize = 500;

/** Everything of one kind that the namespace and selector options choose, and the version to watch from. */
export interface Listing<K extends Kind> {
  readonly items: readonly Resource<K>[];
  readonly resourceVersion: string;
}

export async function listChosen<K extends Kind>(
  store: ResourceStore,
  kind: K,
  context: Pick<CommandContext, 'options' | 'signal'>,
): Promise<Listing<K>> {
  const { allNamespaces, namespace, selector } = context.options;
  return listAll(store, kind, {
    namespace: allNamespaces ? undefined : namespace,
    labelSelector: selector,
    signal: context.signal,
  });
}

/** Lists page by page, so that neither side holds a lock for long. */
export async function listAll<K extends Kind>(
  store: ResourceStore,
  kind: K,
  where: {
    readonly namespace?: string | undefined;
    readonly labelSelector?: string | undefined;
    readonly signal: AbortSignal;
  },
): Promise<Listing<K>> {
  const items: Resource<K>[] = [];
  let token: string | undefined;
  for (;;) {
    const page = await store.list(kind, { ...where, limit: pageSize, continue: token });
    items.push(...page.items);
    token = page.continue;
    if (token === undefined) return { items, resourceVersion: page.resourceVersion };
  }
}

/** Reads one resource of the chosen namespace. @throws CliError when it is not there */
export async function readTarget<K extends Kind>(
  store: ResourceStore,
  target: Target & { readonly kind: K },
  context: Pick<CommandContext, 'options' | 'signal'>,
): Promise<Resource<K>> {
  const { namespace } = context.options;
  try {
    return await store.get(target.kind, { namespace, name: target.name }, { signal: context.signal });
  } catch (thrown) {
    if (isStoreError(thrown, 'NotFound')) throw missing(target, namespace, thrown);
    throw thrown;
  }
}
