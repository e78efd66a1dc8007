import { setTimeout as delay } from 'node:timers/promises';
import { accessRules, type PolicyRule } from '../../../src/cli/manifests/access-rules.ts';
import type { ClusterClient } from './cluster-client.ts';
import type { KubeObject } from './kube-object.ts';

const rule = (group: string, resources: readonly string[], verbs: readonly string[]): PolicyRule => ({
  apiGroups: [group],
  resources,
  verbs,
});

/** What somebody needs who works with the commands, as docs/kubernetes.md has it. */
const operator = [
  rule(
    'kelos.dev',
    ['tasks', 'taskspawners', 'workspaces', 'agentconfigs'],
    ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
  ),
  // Sends again and removes; only Telos makes them.
  rule('telos.dev', ['deliveries'], ['get', 'list', 'watch', 'patch', 'delete']),
  rule('', ['secrets'], ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']),
  rule('', ['events'], ['list']),
  rule('', ['pods/log'], ['get']),
];

/** What no installation does and the store can do all the same: its contract holds for every kind alike. */
const contract = [
  rule(
    'kelos.dev',
    ['tasks/status', 'taskspawners/status', 'workspaces/status', 'agentconfigs/status'],
    ['update', 'patch'],
  ),
  rule('telos.dev', ['deliveries'], ['update']),
  rule('telos.dev', ['deliveries/status'], ['update', 'patch']),
  rule('', ['events'], ['get', 'watch', 'create', 'update', 'patch', 'delete']),
];

/** Who Telos is in a test: never the cluster's administrator, of whom no right is asked. */
const roles = {
  companion: accessRules('companion'),
  standalone: accessRules('standalone'),
  operator,
  /** Whoever may do what an operator and Telos may do together, and what else the store offers. */
  everybody: [...accessRules('standalone'), ...operator, ...contract],
  /** Sees what a standalone installation sees, and writes nothing. */
  onlooker: accessRules('standalone')
    .map(({ verbs, ...rest }) => ({
      ...rest,
      verbs: verbs.filter((verb) => /^(get|list|watch)$/.test(verb)),
    }))
    .filter(({ verbs }) => verbs.length > 0),
} satisfies Readonly<Record<string, readonly PolicyRule[]>>;

type TestRole = keyof typeof roles;

/**
 * A token of a ServiceAccount in a namespace that has these rights there, or `everywhere`, and no others; resolves when
 * the API server knows of them. All of it goes with the namespace.
 */
export async function tokenAs(
  admin: ClusterClient,
  role: TestRole,
  namespace: string,
  { everywhere = false } = {},
): Promise<string> {
  const token = await admin.serviceAccountToken(namespace, `telos-${role}`);
  await grant(admin, role, namespace, everywhere);
  const bearer = admin.as(token);
  try {
    while (!(await maySeeTasks(bearer, everywhere ? undefined : namespace))) await delay(20);
    return token;
  } finally {
    await bearer.close();
  }
}

async function grant(
  admin: ClusterClient,
  role: TestRole,
  namespace: string,
  everywhere: boolean,
): Promise<void> {
  const group = 'rbac.authorization.k8s.io';
  const account = `telos-${role}`;
  const kind = everywhere ? 'ClusterRole' : 'Role';
  const metadata = everywhere
    ? { name: `${account}-${namespace}`, ownerReferences: [await ownedBy(admin, namespace)] }
    : { name: account, namespace };
  const apiVersion = `${group}/v1`;
  const roleRef = { apiGroup: group, kind, name: metadata.name };
  const subjects = [{ kind: 'ServiceAccount', name: account, namespace }];
  await admin.applyObject({ apiVersion, kind, metadata, rules: roles[role] } as KubeObject);
  await admin.applyObject({ apiVersion, kind: `${kind}Binding`, metadata, roleRef, subjects } as KubeObject);
}

/** What makes something outside of namespaces go with this one. */
async function ownedBy(admin: ClusterClient, name: string): Promise<object> {
  const { metadata } = await admin.get('v1/namespaces', { name });
  return { apiVersion: 'v1', kind: 'Namespace', name, uid: metadata.uid };
}

/** A role is known as a whole, in the API server's own time; every one of these lists Tasks. */
async function maySeeTasks(bearer: ClusterClient, namespace: string | undefined): Promise<boolean> {
  const resourceAttributes = { namespace, group: 'kelos.dev', resource: 'tasks', verb: 'list' };
  const review = await bearer.create('authorization.k8s.io/v1/selfsubjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    metadata: {},
    spec: { resourceAttributes },
  } as unknown as KubeObject);
  return (review['status'] as { readonly allowed: boolean }).allowed;
}
