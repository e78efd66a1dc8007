import type { Credentials } from './credentials.ts';

/** One Kubernetes API server, and how to reach it. */
export interface Cluster {
  /** What people know it by: a context of a kubeconfig, or `in-cluster`. */
  readonly name: string;
  /** Base URL; requests go below its path. */
  readonly server: URL;
  readonly tls: TlsSettings;
  /** A proxy that all requests go through. */
  readonly proxy: URL | undefined;
  readonly credentials: Credentials;
  /** What should be told once, when the store is opened: settings that are honoured but unwise. */
  readonly warnings: readonly string[];
}

export interface TlsSettings {
  /** PEM; undefined: the authorities that Node knows. */
  readonly ca: string | undefined;
  /** The name in the server's certificate, if it is not the URL's. */
  readonly serverName: string | undefined;
  readonly skipVerify: boolean;
}
