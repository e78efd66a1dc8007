import type { PolicyRule } from '../../src/cli/manifests/access-rules.ts';

/** Rights as `VERB GROUP/RESOURCE`, each once, in order. */
export function grantedRights(rules: readonly PolicyRule[]): readonly string[] {
  const rights = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
    ),
  );
  return [...new Set(rights)].sort();
}

const verbs: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/**
 * The right that a request takes, as the API server sees it; undefined for one about no resource, such as `/readyz`
 * and discovery, which every authenticated user may ask.
 */
export function rightOf(method: string, target: string): string | undefined {
  const { pathname, searchParams } = new URL(target, 'http://any');
  const parts = pathname.split('/').slice(1);
  const group = parts[0] === 'apis' ? parts[1] : '';
  const place = parts.slice(parts[0] === 'apis' ? 3 : 2);
  const isInNamespace = place[0] === 'namespaces' && place.length > 2;
  const [resource, name, subresource] = isInNamespace ? place.slice(2) : place;
  if (resource === undefined || (parts[0] !== 'api' && parts[0] !== 'apis')) return undefined;
  const reading = name === undefined ? (searchParams.get('watch') === 'true' ? 'watch' : 'list') : 'get';
  return `${verbs[method] ?? reading} ${group}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
}
