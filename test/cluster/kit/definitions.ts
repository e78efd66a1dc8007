import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterClient } from './cluster-client.ts';
import type { AnyObject, KubeObject } from './kube-object.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'deploy', 'crds');
const collection = 'apiextensions.k8s.io/v1/customresourcedefinitions';

interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string; readonly served: boolean }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/**
 * Makes the cluster know our kinds, and resolves with the definitions' names when it serves every version of them.
 * The shared cluster keeps them: a suite that needs a cluster without starts its own control plane.
 */
export async function installDefinitions(admin: ClusterClient): Promise<string[]> {
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const applied = (await Promise.all(files.map((yaml) => admin.apply(yaml)))).flat();
  return Promise.all(applied.map((definition) => untilServed(admin, definition)));
}

async function untilServed(admin: ClusterClient, { metadata: { name } }: AnyObject): Promise<string> {
  const { spec } = await admin.until<Definition>(collection, { name }, isEstablished);
  const { group, names, versions } = spec;
  for (const version of versions.filter(({ served }) => served)) {
    // Discovery comes to know of it a moment later, and tells nobody.
    while (!(await isListed(admin, `${group}/${version.name}`, names.plural))) await delay(50);
  }
  return name;
}

async function isListed(admin: ClusterClient, groupVersion: string, plural: string): Promise<boolean> {
  const text = await admin.raw(`/apis/${groupVersion}`).catch(() => '{"resources":[]}');
  const { resources } = JSON.parse(text) as { resources: readonly { name: string }[] };
  return resources.some(({ name }) => name === plural);
}

function isEstablished({ status }: Definition): boolean {
  return (
    status?.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True') ?? false
  );
}
