import { httpPort } from './deployment.ts';
import { type InstallOptions, metadataIn, selectorLabels } from './install-options.ts';

/** Who answers DNS: the cluster's own, its cache on the node, and on GKE the node itself. */
const dnsPeers = [
  { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } },
  { ipBlock: { cidr: '169.254.20.10/32' } },
  // Metadata is at port 80.
  { ipBlock: { cidr: '169.254.169.254/32' } },
];

/** The Service in front of the Pods, and what may connect where. */
export function networkManifests({ namespace }: InstallOptions): readonly object[] {
  const metadata = metadataIn(namespace);
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector: selectorLabels,
        ports: [{ name: 'http', port: httpPort, targetPort: 'http' }],
      },
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
      spec: {
        podSelector: { matchLabels: selectorLabels },
        policyTypes: ['Ingress', 'Egress'],
        // Kubelets, who probe, are let in by their own node.
        ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'http', protocol: 'TCP' }] }],
        egress: [
          { to: dnsPeers, ports: ['UDP', 'TCP'].map((protocol) => ({ port: 53, protocol })) },
          // Receivers, and the API server by its Service; never a cloud's metadata.
          {
            to: [
              { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] } },
              { ipBlock: { cidr: '::/0', except: ['fe80::/10', 'fd00:ec2::/32'] } },
            ],
            ports: [{ port: 443, protocol: 'TCP' }],
          },
          // The API server itself, behind its Service. Where that is, nobody knows in advance; and without `to`, network
          // plugins for which nodes have no address let it through, too.
          { ports: [{ port: 6443, protocol: 'TCP' }] },
        ],
      },
    },
  ];
}
