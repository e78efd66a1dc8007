import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Draft, kinds } from '../../../src/api/kinds.ts';
import { parseManifests } from '../../../src/api/manifest.ts';
import { StoreError } from '../../../src/store/errors.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import {
  badHooks,
  badHookUrls,
  badMetadata,
  badResources,
  hook,
  taskWith,
  withHooks,
} from '../../api/bad-resources.ts';
import { describeOnCluster, sharedCluster } from '../../cluster/kit/cluster.ts';
import { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import { installDefinitions } from '../../cluster/kit/definitions.ts';
import { tokenAs } from '../../cluster/kit/roles.ts';
import { temporaryStore } from '../../support/temporary-store.ts';
import { openClusterStore } from './cluster-store.ts';

type Written = Readonly<Record<string, unknown>>;

const folder = join(import.meta.dirname, '..', '..', '..', 'examples');
const examples = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) =>
    parseManifests(readFileSync(join(folder, name)), name).documents.map(
      ({ object, index }): [string, Written] => [`${name} ${index}`, object],
    ),
  );

/** In each version that its kind has. */
function inEachVersion([name, object]: [string, Written]): [string, Written][] {
  const info = Object.values(kinds).find(({ kind }) => kind === object['kind']);
  const versions = info?.custom ? info.versions.map((version) => `${info.group}/${version}`) : [];
  const [first = object['apiVersion'], ...others] = versions;
  return [first, ...others].map((apiVersion) => [
    `${name} as ${String(apiVersion)}`,
    { ...object, apiVersion },
  ]);
}

/** An API server takes what is nested thousands deep; a file's bounds are tighter. */
const tooDeep = 'a value nested without end';

const bad: [string, unknown][] = [
  ...badResources
    .filter(([what]) => what !== tooDeep)
    .map(([what, , object]): [string, unknown] => [what, object]),
  ...badMetadata.map(([what, metadata, line]): [string, unknown] => [
    `${what}: ${line.slice(0, 60)}`,
    taskWith({}, metadata),
  ]),
  ...badHookUrls.map((url): [string, unknown] => [JSON.stringify(url), withHooks([hook({ url })])]),
  ...badHooks.map(([what, hooks]): [string, unknown] => [`hooks: ${what}`, withHooks(hooks)]),
];

describeOnCluster('a file and a cluster', () => {
  let admin: ClusterClient;
  let namespace: string;
  let onFile: Awaited<ReturnType<typeof temporaryStore>>;
  let onCluster: ResourceStore;

  beforeAll(async () => {
    admin = ClusterClient.fromKubeconfig(sharedCluster().kubeconfig);
    await installDefinitions(admin);
    namespace = await admin.createNamespace('verdicts', { serviceAccount: false });
    const token = await tokenAs(admin, 'everybody', namespace, { everywhere: true });
    [onFile, onCluster] = await Promise.all([
      temporaryStore(),
      openClusterStore(sharedCluster().kubeconfig, { token }),
    ]);
  });
  afterAll(async () => {
    await onCluster?.close();
    await onFile?.close();
    await admin.delete('v1/namespaces', { name: namespace });
    await admin.close();
  });

  async function verdict(store: ResourceStore, object: unknown): Promise<'taken' | 'refused'> {
    try {
      await store.create(inNamespace(object) as Draft, { dryRun: true });
      return 'taken';
    } catch (thrown) {
      if (!(thrown instanceof StoreError)) throw thrown;
      if (thrown.code === 'Unavailable') throw thrown;
      return 'refused';
    }
  }

  /** In the namespace of this test, where it names none or one that can be. */
  function inNamespace(object: unknown): unknown {
    const { metadata } = object as { readonly metadata?: { readonly namespace?: string } };
    if (metadata === undefined || (metadata.namespace ?? 'default') !== 'default') return object;
    return { ...(object as object), metadata: { ...metadata, namespace } };
  }

  test.each(examples.flatMap(inEachVersion))('take %s', async (_name, object) => {
    expect(await verdict(onFile.store, object)).toBe('taken');
    expect(await verdict(onCluster, object)).toBe('taken');
  });

  test.each(bad)('say the same of %s', async (_what, object) => {
    expect(await verdict(onCluster, object)).toEqual(await verdict(onFile.store, object));
  });
});
