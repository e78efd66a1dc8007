import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import type { ClusterClient } from './cluster-client.ts';
import type { KubeObject } from './kube-object.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'deploy', 'crds');
const collection = 'apiextensions.k8s.io/v1/customresourcedefinitions';

export interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
    }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/**
 * Makes the cluster know our kinds, and resolves with the definitions' names when it serves every version of them.
 * The shared cluster keeps them: a suite that needs a cluster without starts its own control plane.
 */
export async function installDefinitions(admin: ClusterClient): Promise<string[]> {
  return Promise.all(readdirSync(folder).map((file) => installDefinition(admin, readDefinition(file))));
}

/** Our definition of Task, for a test that installs a changed one. */
export function taskDefinition(): Definition {
  return readDefinition('tasks.kelos.dev.yaml');
}

/** Applies a definition, and resolves with its name when the cluster serves every version that it says. */
export async function installDefinition(admin: ClusterClient, definition: Definition): Promise<string> {
  await admin.applyObject(definition);
  return untilServed(admin, definition);
}

function readDefinition(file: string): Definition {
  return parse(readFileSync(join(folder, file), 'utf8')) as Definition;
}

async function untilServed(admin: ClusterClient, { metadata: { name } }: Definition): Promise<string> {
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
