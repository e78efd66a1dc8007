import type { Delivery } from '../../src/api/delivery.ts';
import type { ResourceStore } from '../../src/store/store.ts';

/** Resolves when all Deliveries together are as wanted. */
export async function untilDeliveries(
  store: ResourceStore,
  where: { readonly namespace?: string },
  wanted: (all: readonly Delivery[]) => boolean,
): Promise<void> {
  const page = await store.list('Delivery', where);
  const all = new Map(page.items.map((item) => [item.metadata.name, item]));
  if (wanted([...all.values()])) return;
  for await (const event of store.watch('Delivery', { ...where, resourceVersion: page.resourceVersion })) {
    if (event.type === 'BOOKMARK') continue;
    all.set(event.resource.metadata.name, event.resource);
    if (wanted([...all.values()])) return;
  }
}

/** Whether it was tried or settled. */
export function hasOutcome({ status }: Delivery): boolean {
  return status?.settledAt !== undefined || (status?.attemptCount ?? 0) > 0;
}
