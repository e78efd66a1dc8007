import type { Kind, Resource } from '../api/kinds.ts';
import type { NamespaceAccess } from './namespace-access.ts';
import type { ResourceStore } from './store.ts';

interface PageOptions {
  /** Only these namespaces; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** Which of them may be read now; the others are left out. Absent: all may. */
  readonly access?: NamespaceAccess | undefined;
  /** Resources in one page. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** Lists a kind page by page, for what needs no view. Ends early when the signal aborts. @throws StoreError */
export async function* everyPage<K extends Kind>(
  store: ResourceStore,
  kind: K,
  { namespaces, access, limit, signal }: PageOptions,
): AsyncGenerator<readonly Resource<K>[], void> {
  for (const namespace of namespaces ?? [undefined]) {
    if (namespace !== undefined && access?.stateOf(namespace) === 'closed') continue;
    let token: string | undefined;
    do {
      if (signal.aborted) return;
      const page = await store.list(kind, { namespace, limit, continue: token, signal });
      yield page.items;
      token = page.continue;
    } while (token !== undefined);
  }
}
