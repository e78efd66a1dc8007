import { type ClusterClient, ClusterError } from '../kit/cluster-client.ts';
import type { KubeObject } from '../kit/kube-object.ts';
import type { Container, EnvVar, Pod } from './pod.ts';

/** The Pod asks for something that is not there. A kubelet tries again, and so does the stand-in node. */
export class ContainerConfigError extends Error {
  override readonly name = 'ContainerConfigError';
}

interface Data extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * The environment that a container's spec asks for.
 * @throws {ContainerConfigError} when a Secret or ConfigMap, or a key of one, is missing.
 */
export async function containerEnvironment(
  client: ClusterClient,
  pod: Pod,
  container: Container,
): Promise<Record<string, string>> {
  const { namespace = '' } = pod.metadata;
  const environment: Record<string, string> = {};
  for (const { prefix = '', secretRef, configMapRef } of container.envFrom ?? []) {
    const data =
      (secretRef && (await readData(client, 'secrets', namespace, secretRef))) ??
      (configMapRef && (await readData(client, 'configmaps', namespace, configMapRef))) ??
      {};
    for (const [key, value] of Object.entries(data)) environment[`${prefix}${key}`] = value;
  }
  for (const variable of container.env ?? []) {
    const value = await readVariable(client, pod, variable, environment);
    if (value !== undefined) environment[variable.name] = value;
  }
  return environment;
}

async function readVariable(
  client: ClusterClient,
  pod: Pod,
  { value, valueFrom }: EnvVar,
  known: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (valueFrom === undefined) return expand(value ?? '', known);
  const { namespace = '' } = pod.metadata;
  const { secretKeyRef, configMapKeyRef, fieldRef } = valueFrom;
  if (fieldRef !== undefined) return fieldOf(pod, fieldRef.fieldPath);
  const [kind, reference] = secretKeyRef ? ['secrets', secretKeyRef] : ['configmaps', configMapKeyRef];
  if (reference === undefined) throw new ContainerConfigError('valueFrom names nothing this node can read');
  const found = (await readData(client, kind as DataKind, namespace, reference))?.[reference.key];
  if (found === undefined && reference.optional !== true) {
    throw new ContainerConfigError(
      `couldn't find key ${reference.key} in ${kind === 'secrets' ? 'Secret' : 'ConfigMap'} ${namespace}/${reference.name}`,
    );
  }
  return found;
}

type DataKind = 'secrets' | 'configmaps';

/** What a Secret (decoded) or ConfigMap holds; undefined when it may be missing and is. */
export async function readData(
  client: ClusterClient,
  kind: DataKind,
  namespace: string,
  { name, optional = false }: { readonly name: string; readonly optional?: boolean },
): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const { data = {} } = await client.get<Data>(`v1/${kind}`, { namespace, name });
    if (kind === 'configmaps') return data;
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
    );
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 404) throw error;
    if (optional) return undefined;
    throw new ContainerConfigError(`${kind === 'secrets' ? 'secret' : 'configmap'} "${name}" not found`);
  }
}

/** Puts in the values of `$(NAME)`; `$$` stands for `$`, and what is not known stays as it is. */
export function expand(text: string, known: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^()]+)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (known[name] ?? whole),
  );
}

function fieldOf(pod: Pod, fieldPath: string): string {
  const { metadata, spec } = pod;
  const [, map, key = ''] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? [];
  if (map === 'labels') return metadata.labels?.[key] ?? '';
  if (map === 'annotations') return metadata.annotations?.[key] ?? '';
  const fields: Record<string, string | undefined> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.hostIP': '127.0.0.1',
    'status.podIP': '127.0.0.1',
  };
  const value = fields[fieldPath];
  if (value === undefined) throw new ContainerConfigError(`this node cannot resolve fieldRef ${fieldPath}`);
  return value;
}
