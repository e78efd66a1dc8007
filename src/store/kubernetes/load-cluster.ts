import { access, readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { errorCode, toError } from '../../base/errors.ts';
import type { Cluster } from './cluster.ts';
import { configError } from './config-error.ts';
import {
  basic,
  bearer,
  type ClientCertificate,
  type Credential,
  type Credentials,
  FileCredentials,
  fixedCredentials,
} from './credentials.ts';
import { ExecCredentials } from './exec-credentials.ts';
import { type ChosenContext, readKubeconfig, resolveBeside } from './kubeconfig.ts';

/** Where Kubernetes puts the credentials of a Pod. */
const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface LoadOptions {
  /** A context of the kubeconfig; undefined: the current one, or in a Pod the cluster around it. */
  readonly context: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Only for tests. */
  readonly serviceAccountFolder?: string;
}

/**
 * Finds out which API server is meant, and who we are to it: a context that was named, else what KUBECONFIG names,
 * else the cluster of the Pod that we are in, else `~/.kube/config`.
 * @throws StoreError `Unavailable` in one line with the remedy
 */
export async function loadCluster(options: LoadOptions): Promise<Cluster> {
  const { context, env } = options;
  const files = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (files.length === 0 && context === undefined) {
    const cluster = await clusterAroundUs(options);
    if (cluster !== undefined) return cluster;
  }
  if (files.length === 0) files.push(join(env['HOME'] || homedir(), '.kube', 'config'));
  return clusterOf(await readKubeconfig(files, context), options);
}

/** The cluster of the Pod that this process runs in; undefined outside of one. */
async function clusterAroundUs(options: LoadOptions): Promise<Cluster | undefined> {
  const { env, clock } = options;
  const folder = options.serviceAccountFolder ?? serviceAccountFolder;
  const [host, port] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT']];
  const token = join(folder, 'token');
  if (!host || !port || !(await exists(token))) return undefined;
  return {
    name: 'in-cluster',
    server: readUrl(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`, 'KUBERNETES_SERVICE_HOST'),
    tls: { ca: await readText(join(folder, 'ca.crt')), serverName: undefined, skipVerify: false },
    proxy: undefined,
    credentials: new FileCredentials(async () => ({ authorization: await readToken(token) }), clock),
    warnings: [],
  };
}

async function clusterOf(chosen: ChosenContext, options: LoadOptions): Promise<Cluster> {
  const { file, entry } = chosen.cluster;
  const where = `${file}: context '${chosen.name}'`;
  const server = readUrl(entry.server ?? '', where);
  const ca = await pem(file, entry['certificate-authority-data'], entry['certificate-authority']);
  const skipVerify = entry['insecure-skip-tls-verify'] === true;
  if (skipVerify && ca !== undefined) {
    throw configError(where, 'has an authority and insecure-skip-tls-verify', 'remove one of them');
  }
  return {
    name: chosen.name,
    server,
    tls: { ca, serverName: entry['tls-server-name'] || undefined, skipVerify },
    proxy: entry['proxy-url'] ? readProxy(entry['proxy-url'], where) : undefined,
    credentials: await credentialsOf(chosen, ca, options),
    warnings: [
      ...(skipVerify
        ? ['insecure-skip-tls-verify: whoever is between us and the API server can read along']
        : []),
      ...(server.protocol === 'http:' ? ['the API server is asked over plain HTTP'] : []),
    ],
  };
}

async function credentialsOf(
  chosen: ChosenContext,
  ca: string | undefined,
  { env, clock }: LoadOptions,
): Promise<Credentials> {
  const { file, entry } = chosen.user;
  const where = `${file}: the user of context '${chosen.name}'`;
  if (entry.as || entry['as-uid'] || entry['as-groups'] || entry['as-user-extra']) {
    throw configError(
      where,
      'impersonates somebody',
      'Telos acts as itself only: remove as, as-uid, as-groups',
    );
  }
  if (entry['auth-provider']) {
    throw configError(where, 'has an auth-provider, which Kubernetes has given up', 'use an exec plugin');
  }
  if (entry.exec) {
    return new ExecCredentials({ entry: entry.exec, file, env, clusterInfo: clusterInfo(chosen, ca), clock });
  }
  const read = async (): Promise<Credential> => ({
    authorization: await authorizationOf(chosen),
    clientCertificate: await clientCertificateOf(chosen),
  });
  // Only what stands in files of its own is renewed while we run.
  const isInFiles = entry.tokenFile || entry['client-certificate'] || entry['client-key'];
  return isInFiles ? new FileCredentials(read, clock) : fixedCredentials(await read());
}

/** A token file goes before a token, as with kubectl. */
async function authorizationOf({ user }: ChosenContext): Promise<string | undefined> {
  const { file, entry } = user;
  if (entry.tokenFile) return readToken(resolveBeside(file, entry.tokenFile));
  if (entry.token) return bearer(entry.token);
  return entry.username ? basic(entry.username, entry.password ?? '') : undefined;
}

async function clientCertificateOf({ user }: ChosenContext): Promise<ClientCertificate | undefined> {
  const { file, entry } = user;
  const cert = await pem(file, entry['client-certificate-data'], entry['client-certificate']);
  const key = await pem(file, entry['client-key-data'], entry['client-key']);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw configError(file, 'has only one of client-certificate and client-key', 'give both');
  }
  return { cert, key };
}

/** What an exec plugin is told of the cluster when it asks. */
function clusterInfo({ cluster }: ChosenContext, ca: string | undefined): Record<string, unknown> {
  const { entry } = cluster;
  return {
    server: entry.server,
    ...(entry['tls-server-name'] ? { 'tls-server-name': entry['tls-server-name'] } : {}),
    ...(entry['insecure-skip-tls-verify'] ? { 'insecure-skip-tls-verify': true } : {}),
    ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(entry['proxy-url'] ? { 'proxy-url': entry['proxy-url'] } : {}),
    config: null,
  };
}

async function readToken(path: string): Promise<string> {
  const token = (await readText(path)).trim();
  if (token === '') throw configError(path, 'is empty', 'put a token into it');
  return bearer(token);
}

/** Data goes before a file, as with kubectl. */
async function pem(
  kubeconfig: string,
  data: string | null | undefined,
  path: string | null | undefined,
): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  return path ? readText(resolveBeside(kubeconfig, path)) : undefined;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    const why = errorCode(thrown) ?? toError(thrown).message;
    throw configError(path, `cannot be read (${why})`, 'check the kubeconfig that names it', thrown);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function readUrl(text: string, where: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw configError(where, 'has no server with an https URL', 'give clusters[].cluster.server');
  }
  return url;
}

function readProxy(text: string, where: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw configError(where, 'has a proxy-url that is not http or https', 'name an HTTP proxy');
  }
  return url;
}
