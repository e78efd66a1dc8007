import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';

/** How to reach an API server, and as whom. */
export interface Connection {
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** What its certificate is checked against, PEM; absent: the authorities that the machine trusts. */
  readonly ca?: string;
  readonly token?: string;
  /** The file that the token is in, which changes in time. */
  readonly tokenFile?: string;
  /** The client's certificate and key, PEM. */
  readonly cert?: string;
  readonly key?: string;
}

/** The kubeconfig that says the same as the connection. */
export function formatKubeconfig(connection: Connection): string {
  const { server, ca, token, tokenFile, cert, key } = connection;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      { name: 'test', cluster: { server, ...(ca && { 'certificate-authority-data': base64(ca) }) } },
    ],
    users: [
      {
        name: 'test',
        user: {
          ...(token && { token }),
          ...(tokenFile && { tokenFile }),
          ...(cert && key && { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) }),
        },
      },
    ],
  });
}

type Entry = Readonly<Record<string, string | undefined>>;

interface KubeconfigFile {
  readonly 'current-context'?: string;
  readonly contexts?: readonly { readonly name: string; readonly context: Entry }[];
  readonly clusters?: readonly { readonly name: string; readonly cluster: Entry }[];
  readonly users?: readonly { readonly name: string; readonly user: Entry }[];
}

/**
 * What a kubeconfig's current context says. Tokens and certificates only, which is what kind and k3d write.
 * @throws when it says nothing that can be used.
 */
export function readKubeconfig(file: string): Connection {
  const config = parse(readFileSync(file, 'utf8')) as KubeconfigFile;
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters?.find(({ name }) => name === context?.['cluster'])?.cluster;
  const user = config.users?.find(({ name }) => name === context?.['user'])?.user;
  const server = cluster?.['server'];
  if (cluster === undefined || user === undefined || server === undefined) {
    throw new Error(`${file}: its current-context names no cluster and user that are in it`);
  }
  const pem = (entry: Entry, field: string): string | undefined => {
    const data = entry[`${field}-data`];
    const path = entry[field];
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    return path === undefined ? undefined : readFileSync(resolve(dirname(file), path), 'utf8');
  };
  const ca = pem(cluster, 'certificate-authority');
  const cert = pem(user, 'client-certificate');
  const key = pem(user, 'client-key');
  const token = user['token'];
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw new Error(`${file}: user ${context?.['user']} has neither a token nor a client certificate`);
  }
  return {
    server: server.replace(/\/$/, ''),
    ...(ca !== undefined && { ca }),
    ...(token !== undefined && { token }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
  };
}
