import { type InstallOptions, installName, metadataIn, selectorLabels } from './install-options.ts';

/** Where health, metrics and inbound webhooks are served. */
export const httpPort = 8484;

/** The longest attempt (60 s) ends, and its outcome is written. */
const drainSeconds = 75;
const memoryMiB = 512;
/** What is left of the memory is for buffers, code and threads. */
const heapMiB = Math.floor((memoryMiB * 60) / 100);

/** The Deployment and what keeps one of its Pods there while nodes are drained. */
export function deploymentManifests({
  mode,
  namespace,
  watchNamespaces = [],
  image,
}: InstallOptions): readonly object[] {
  const metadata = metadataIn(namespace);
  const selector = { matchLabels: selectorLabels };
  const rooms = mode === 'companion' ? ['--report'] : ['--spawn', '--run', '--report'];
  const container = {
    name: 'telos',
    image,
    imagePullPolicy: 'IfNotPresent',
    args: [
      'up',
      '--store=kubernetes',
      ...rooms,
      ...watchNamespaces.map((watched) => `--watch-namespace=${watched}`),
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
        replicas: 1,
        // Two engines side by side would send everything twice.
        strategy: { type: 'Recreate' },
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
