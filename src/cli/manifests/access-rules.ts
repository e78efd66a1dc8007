import { kelosLease } from '../../api/names.ts';

/** Who Telos is on Kubernetes: what reports beside Kelos, or what makes, runs and reports Tasks itself. */
export type InstallMode = 'companion' | 'standalone';

/** A PolicyRule of `rbac.authorization.k8s.io/v1`. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** What telling hooks takes. */
const reporting = {
  // To see Tasks end, to hold them until that is recorded, and to mark them.
  'kelos.dev/tasks': ['list', 'watch', 'patch'],
  // To say on a Task that it is held because recording fails.
  'kelos.dev/tasks/status': ['patch'],
  'telos.dev/deliveries': ['get', 'list', 'watch', 'create', 'delete'],
  'telos.dev/deliveries/status': ['patch'],
  // Those that a due hook names; which others there are, nobody can ask.
  '/secrets': ['get'],
  '/events': ['create'],
};

/** The same, and what making Tasks of events and running them as Jobs takes. */
const everything = {
  ...reporting,
  'kelos.dev/tasks': ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  'kelos.dev/taskspawners': ['list', 'watch'],
  'kelos.dev/taskspawners/status': ['patch'],
  'batch/jobs': ['get', 'list', 'watch', 'create', 'delete'],
  '/pods': ['list', 'watch'],
  '/pods/log': ['get'],
  // Kubernetes says nowhere else why a Job gets no Pod.
  '/events': ['create', 'list'],
};

/** The rights of a mode in each namespace that Telos works in: all of them are used, and no other. */
export function accessRules(mode: InstallMode): readonly PolicyRule[] {
  return Object.entries(mode === 'companion' ? reporting : everything).map(([place, verbs]) => {
    const [group = '', ...resource] = place.split('/');
    return { apiGroups: [group], resources: [resource.join('/')], verbs };
  });
}

/** Standalone looks whether Kelos's controller is at work: the two must not run the same Task. */
export const kelosLeaseRule: PolicyRule = {
  apiGroups: ['coordination.k8s.io'],
  resources: ['leases'],
  resourceNames: [kelosLease.name],
  verbs: ['get'],
};

/** In watched namespaces: what keeps these very rights there until Telos has let go of what it holds. */
export function keepingRules(roleBinding: string): readonly PolicyRule[] {
  return [
    {
      apiGroups: ['rbac.authorization.k8s.io'],
      resources: ['rolebindings'],
      resourceNames: [roleBinding],
      verbs: ['list', 'watch', 'patch'],
    },
    // A namespace that goes has to be told from rights that are taken back. A RoleBinding lets see only its own.
    { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
  ];
}

/** In the namespace where Telos itself runs: the Leases by which its replicas share the work. */
export const sharingRule: PolicyRule = {
  apiGroups: ['coordination.k8s.io'],
  resources: ['leases'],
  verbs: ['get', 'list', 'create', 'update', 'delete'],
};
