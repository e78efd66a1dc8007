import type { CommandContext } from '../command-context.ts';
import { checkNamespace } from '../flags.ts';
import type { InstallMode } from '../manifests/access-rules.ts';
import { installManifests } from '../manifests/install.ts';
import { installName } from '../manifests/install-options.ts';
import { toYaml } from '../object-text.ts';
import { printObject } from '../print-resources.ts';
import { version } from '../version.ts';

/** The flags of `telos manifests`. */
export interface ManifestsFlags {
  readonly mode?: InstallMode;
  readonly watchNamespace?: readonly string[];
  readonly image?: string;
}

/** Where Telos runs when nobody says otherwise. */
const defaultNamespace = 'telos-system';
const defaultImage = `${installName}:${version}`;

/** `telos manifests`: what installs Telos on a cluster, for `kubectl apply -f -`. */
export function printManifests(context: CommandContext, flags: ManifestsFlags): void {
  const { mode = 'companion', watchNamespace, image = defaultImage } = flags;
  const { namespace: given, namespaceGiven, output } = context.options;
  const namespace = namespaceGiven ? given : defaultNamespace;
  checkNamespace(namespace);
  const objects = installManifests({ mode, namespace, watchNamespaces: watchNamespace, image });
  if (output === 'json') printObject(context, { apiVersion: 'v1', kind: 'List', items: objects });
  else context.stdout.write(objects.map(toYaml).join('---\n'));
}
