import { customResourceDefinition } from '../../api/crd.ts';
import { type Kind, kindNames, kinds } from '../../api/kinds.ts';
import type { InstallMode } from './access-rules.ts';
import { deploymentManifests } from './deployment.ts';
import type { InstallOptions } from './install-options.ts';
import { networkManifests } from './network.ts';
import { rightsManifests } from './rights.ts';

/** The kinds whose CRDs a mode brings. Beside Kelos its own stay untouched. */
export function installedKinds(mode: InstallMode): readonly Kind[] {
  return kindNames.filter((kind) => kinds[kind].custom && (mode === 'standalone' || kind === 'Delivery'));
}

/** Everything that installs Telos on a cluster, each object after those that it needs. */
export function installManifests(options: InstallOptions): readonly object[] {
  const { mode, namespace } = options;
  return [
    ...installedKinds(mode).map(customResourceDefinition),
    // It may be there already, with labels of others: nothing is said of it but its name.
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    ...rightsManifests(options),
    ...networkManifests(options),
    ...deploymentManifests(options),
  ];
}
