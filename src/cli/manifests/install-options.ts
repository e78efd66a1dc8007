import { version } from '../version.ts';
import type { InstallMode } from './access-rules.ts';

/** What is asked of an installation. */
export interface InstallOptions {
  readonly mode: InstallMode;
  /** Where Telos itself runs. */
  readonly namespace: string;
  /** Works in these namespaces only; undefined: in all. */
  readonly watchNamespaces: readonly string[] | undefined;
  /** The container image. */
  readonly image: string;
}

/** What all objects of an installation are called. */
export const installName = 'telos';

/** What tells its Pods from others. */
export const selectorLabels = {
  'app.kubernetes.io/name': installName,
  'app.kubernetes.io/instance': installName,
};

const labels = { ...selectorLabels, 'app.kubernetes.io/version': version };

/** The metadata of an object that is in no namespace. */
export function clusterMetadata(name = installName): object {
  return { name, labels };
}

/** The metadata of an object in a namespace. */
export function metadataIn(namespace: string, name = installName): object {
  return { name, namespace, labels };
}
