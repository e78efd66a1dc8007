import type { Fault } from '../../api/fault.ts';
import { type Kind, kinds } from '../../api/kinds.ts';
import type { StoredResource } from './revision.ts';

export function admit(
  kind: Kind,
  object: unknown,
  _options: {
    before?: StoredResource | undefined;
    part?: 'main' | 'status' | 'all';
    unknownFields: 'prune' | 'refuse';
  },
): { readonly object: Record<string, unknown>; readonly faults: readonly Fault[] } {
  const parsed = kinds[kind].schema.safeParse(object);
  if (parsed.success) return { object: parsed.data, faults: [] };
  const faults = parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  return { object: {}, faults };
}
