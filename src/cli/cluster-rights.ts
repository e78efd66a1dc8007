import { kelosLease } from './kelos-lease.ts';

/** A rule of a Kubernetes Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const follow = ['get', 'list', 'watch'] as const;

/** Secrets are read one by one, by name; Events tell people what happened. */
const common: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create'] },
];

/** What each room does in the namespaces that it works in: all of it, and nothing else. */
export const roomRights: Readonly<Record<'spawn' | 'run' | 'report', readonly PolicyRule[]>> = {
  spawn: [
    ...common,
    { apiGroups: ['kelos.dev'], resources: ['taskspawners'], verbs: follow },
    { apiGroups: ['kelos.dev'], resources: ['taskspawners/status'], verbs: ['patch'] },
    { apiGroups: ['kelos.dev'], resources: ['tasks'], verbs: [...follow, 'create', 'patch'] },
  ],
  run: [
    ...common,
    { apiGroups: ['kelos.dev'], resources: ['tasks'], verbs: [...follow, 'patch', 'delete'] },
    { apiGroups: ['kelos.dev'], resources: ['tasks/status'], verbs: ['patch'] },
    { apiGroups: ['batch'], resources: ['jobs'], verbs: [...follow, 'create', 'delete'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
  ],
  report: [
    ...common,
    { apiGroups: ['kelos.dev'], resources: ['tasks'], verbs: [...follow, 'patch'] },
    { apiGroups: ['telos.dev'], resources: ['deliveries'], verbs: [...follow, 'create', 'patch', 'delete'] },
    { apiGroups: ['telos.dev'], resources: ['deliveries/status'], verbs: ['patch'] },
  ],
};

/** What who spawns or runs may do in Kelos's own namespace, to see that Kelos does not. */
export const kelosLeaseRights: readonly PolicyRule[] = [
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get'],
    resourceNames: [kelosLease.name],
  },
];
