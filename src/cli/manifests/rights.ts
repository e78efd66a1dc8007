import { accessRules, keepingRules, kelosLeaseRule, type PolicyRule, sharingRule } from './access-rules.ts';
import { clusterMetadata, type InstallOptions, installName, metadataIn } from './install-options.ts';

const rbac = 'rbac.authorization.k8s.io';
const apiVersion = `${rbac}/v1`;

/** The ServiceAccount and its rights: in all namespaces, or in those that are watched. */
export function rightsManifests(options: InstallOptions): readonly object[] {
  const { mode, namespace, watchNamespaces } = options;
  const subjects = [{ kind: 'ServiceAccount', name: installName, namespace }];
  const roleRef = (kind: string, name: string): object => ({ apiGroup: rbac, kind, name });
  const clusterRole = (name: string, rules: readonly PolicyRule[]): object => ({
    apiVersion,
    kind: 'ClusterRole',
    metadata: clusterMetadata(name),
    rules,
  });
  const ofCluster = (name: string, rules: readonly PolicyRule[]): readonly object[] => [
    clusterRole(name, rules),
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: clusterMetadata(name),
      roleRef: roleRef('ClusterRole', name),
      subjects,
    },
  ];
  const binding = (place: string, name: string, role: object): object => ({
    apiVersion,
    kind: 'RoleBinding',
    metadata: metadataIn(place, name),
    roleRef: role,
    subjects,
  });
  const ofNamespace = (place: string, name: string, rules: readonly PolicyRule[]): readonly object[] => [
    { apiVersion, kind: 'Role', metadata: metadataIn(place, name), rules },
    binding(place, name, roleRef('Role', name)),
  ];
  // Several installations may share a cluster when each watches namespaces of its own.
  const ownName = watchNamespaces === undefined ? installName : `${installName}:${namespace}`;
  // A Role would go with its namespace, before what Telos holds there: of the rights only one object may be in it.
  const ofWatched = (watched: readonly string[]): readonly object[] => [
    clusterRole(ownName, [...accessRules(mode), ...keepingRules(installName)]),
    ...watched.map((place) => binding(place, installName, roleRef('ClusterRole', ownName))),
  ];
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataIn(namespace),
      // Pods that need the token say so.
      automountServiceAccountToken: false,
    },
    ...(watchNamespaces === undefined ? ofCluster(ownName, accessRules(mode)) : ofWatched(watchNamespaces)),
    ...ofNamespace(namespace, `${installName}-leases`, [sharingRule]),
    ...(mode === 'standalone' ? ofCluster(`${ownName}-kelos-lease`, [kelosLeaseRule]) : []),
  ];
}
