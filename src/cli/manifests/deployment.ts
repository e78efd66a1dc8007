import { type InstallOptions, installName, metadataIn, selectorLabels } from './install-options.ts';

/** Where health, metrics and inbound webhooks are served. */
export const httpPort = 8484;

/** The longest attempt (60 s) ends, and its outcome is written. */
const drainSeconds = 75;
const memoryMiB = 512;
/** What is left of the memory is for buffers, code and threads. */
const heapMiB = Math.floor((memoryMiB * 60) / 100);

/**
 * How many Pods share how many shards of the work. Events come to one Pod, and Tasks are run by one: what a mode with
 * spawn and run has more of would only wait.
 */
const sharing = {
  companion: { replicas: 2, shards: 4 },
  standalone: { replicas: 1, shards: 1 },
} as const;

/** The Deployment and what keeps one of its Pods there while nodes are drained. */
export function deploymentManifests({
  mode,
  namespace,
  watchNamespaces = [],
  image,
}: InstallOptions): readonly object[] {
  const metadata = metadataIn(namespace);
  const selector = { matchLabels: selectorLabels };
  const { replicas, shards } = sharing[mode];
  const rooms = mode === 'companion' ? ['--report'] : ['--spawn', '--run', '--report'];
  const container = {
    name: 'telos',
    image,
    imagePullPolicy: 'IfNotPresent',
    args: [
      'up',
      '--store=kubernetes',
      ...rooms,
      `--shards=${shards}`,
      `--lease-namespace=${namespace}`,
      ...watchNamespaces.map((watched) => `--watch-namespace=${watched}`),
      ...(watchNamespaces.length === 0 ? [] : [`--role-binding=${installName}`]),
      '--host=0.0.0.0',
      `--port=${httpPort}`,
      '--log-format=json',
    ],
    env: [{ name: 'NODE_OPTIONS', value: `--max-old-space-size=${heapMiB}` }],
    ports: [{ name: 'http', containerPort: httpPort }],
    livenessProbe: { httpGet: { path: '/healthz', port: 'http' }, timeoutSeconds: 5, failureThreshold: 6 },
    readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, timeoutSeconds: 5, periodSeconds: 5 },
    resources: {
      requests: { cpu: '100m', memory: '256Mi' },
      limits: { memory: `${memoryMiB}Mi` },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas,
        // Another one is there before one goes: their Leases keep two from working on the same.
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        selector,
        template: {
          metadata: { labels: selectorLabels },
          spec: {
            serviceAccountName: installName,
            automountServiceAccountToken: true,
            // Variables of every Service around it are of no use to it.
            enableServiceLinks: false,
            terminationGracePeriodSeconds: drainSeconds,
            securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
            topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
              (topologyKey) => ({
                maxSkew: 1,
                topologyKey,
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: selector,
              }),
            ),
            containers: [container],
          },
        },
      },
    },
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { maxUnavailable: 1, selector } },
  ];
}
