import { accessRules, kelosLeaseRule, type PolicyRule, sharingRule } from './access-rules.ts';
import { clusterMetadata, type InstallOptions, installName, metadataIn } from './install-options.ts';

const rbac = 'rbac.authorization.k8s.io';
const apiVersion = `${rbac}/v1`;

/** The ServiceAccount and its rights: in all namespaces, or in those that are watched. */
export function rightsManifests(options: InstallOptions): readonly object[] {
  const { mode, namespace, watchNamespaces } = options;
  const subjects = [{ kind: 'ServiceAccount', name: installName, namespace }];
  const roleRef = (kind: string, name: string): object => ({ apiGroup: rbac, kind, name });
  const ofCluster = (name: string, rules: readonly PolicyRule[]): readonly object[] => [
    { apiVersion, kind: 'ClusterRole', metadata: clusterMetadata(name), rules },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: clusterMetadata(name),
      roleRef: roleRef('ClusterRole', name),
      subjects,
    },
  ];
  const ofNamespace = (
    place: string,
    rules: readonly PolicyRule[],
    name = installName,
  ): readonly object[] => [
    { apiVersion, kind: 'Role', metadata: metadataIn(place, name), rules },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata: metadataIn(place, name),
      roleRef: roleRef('Role', name),
      subjects,
    },
  ];
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataIn(namespace),
      // Pods that need the token say so.
      automountServiceAccountToken: false,
    },
    ...(watchNamespaces === undefined
      ? ofCluster(installName, accessRules(mode))
      : watchNamespaces.flatMap((watched) => ofNamespace(watched, accessRules(mode)))),
    ...ofNamespace(namespace, [sharingRule], `${installName}-leases`),
    ...(mode === 'standalone' ? ofCluster(`${installName}-kelos-lease`, [kelosLeaseRule]) : []),
  ];
}
