import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { formatFieldPath } from '../../api/field-path.ts';
import { readYaml } from '../../api/yaml-source.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { configError } from './config-error.ts';

/** Kubeconfigs are small; one that is not is something else. */
const maxBytes = 4 * 1024 * 1024;

const text = z.string().nullish();
const flag = z.boolean().nullish();

const ClusterEntry = z.object({
  server: text,
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': flag,
  'tls-server-name': text,
  'proxy-url': text,
});

const ExecEntry = z.object({
  apiVersion: z.string(),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string().min(1), value: z.string() })).nullish(),
  installHint: text,
  provideClusterInfo: flag,
  interactiveMode: text,
});
export type ExecEntry = z.infer<typeof ExecEntry>;

const UserEntry = z.object({
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  'as-uid': text,
  'as-groups': z.unknown().optional(),
  'as-user-extra': z.unknown().optional(),
  exec: ExecEntry.nullish(),
  'auth-provider': z.unknown().optional(),
});

const ContextEntry = z.object({ cluster: z.string(), user: text, namespace: text });

const KubeconfigFile = z.object({
  'current-context': text,
  clusters: z.array(z.object({ name: z.string(), cluster: ClusterEntry })).nullish(),
  users: z.array(z.object({ name: z.string(), user: UserEntry.nullish() })).nullish(),
  contexts: z.array(z.object({ name: z.string(), context: ContextEntry })).nullish(),
});

/** An entry, and the file it stands in: relative paths in it start there. */
export interface FromFile<T> {
  readonly file: string;
  readonly entry: T;
}

/** What one context of the merged files says. */
export interface ChosenContext {
  readonly name: string;
  readonly cluster: FromFile<z.infer<typeof ClusterEntry>>;
  readonly user: FromFile<z.infer<typeof UserEntry>>;
}

/**
 * Reads kubeconfig files as kubectl merges them (whoever says something first is right; files that are not there are
 * passed over) and chooses a context, the current one unless it is named.
 * @throws StoreError `Unavailable` in one line: what is wrong, where, what to do
 */
export async function readKubeconfig(
  files: readonly string[],
  context: string | undefined,
): Promise<ChosenContext> {
  const where = files.join(':');
  const merged = new MergedKubeconfig();
  for (const file of files) await merged.add(file);
  if (!merged.isFound) throw configError(where, 'no such file', 'set KUBECONFIG to your kubeconfig');
  const name = context ?? merged.currentContext;
  if (name === undefined) {
    throw configError(where, 'has no current-context', 'name one with --store kubernetes:CONTEXT');
  }
  const chosen = merged.contexts.get(name)?.entry;
  if (chosen === undefined) {
    const known = [...merged.contexts.keys()].join(', ') || 'it has none';
    throw configError(where, `has no context '${name}'`, `choose one of its contexts (${known})`);
  }
  const cluster = merged.clusters.get(chosen.cluster);
  if (cluster === undefined) {
    throw configError(where, `context '${name}' names cluster '${chosen.cluster}'`, 'add that cluster');
  }
  const user = chosen.user ? merged.users.get(chosen.user) : { file: cluster.file, entry: {} };
  if (user === undefined) {
    throw configError(where, `context '${name}' names user '${chosen.user}'`, 'add that user');
  }
  return { name, cluster, user };
}

/** A path as written in a kubeconfig, absolute: relative ones start at its folder. */
export function resolveBeside(file: string, path: string): string {
  return resolve(dirname(file), path);
}

class MergedKubeconfig {
  isFound = false;
  currentContext: string | undefined;
  readonly clusters = new Map<string, FromFile<z.infer<typeof ClusterEntry>>>();
  readonly users = new Map<string, FromFile<z.infer<typeof UserEntry>>>();
  readonly contexts = new Map<string, FromFile<z.infer<typeof ContextEntry>>>();

  async add(file: string): Promise<void> {
    const parsed = await parseFile(file);
    if (parsed === undefined) return;
    this.isFound = true;
    this.currentContext ??= parsed['current-context'] || undefined;
    for (const { name, cluster } of parsed.clusters ?? []) addFirst(this.clusters, name, file, cluster);
    for (const { name, user } of parsed.users ?? []) addFirst(this.users, name, file, user ?? {});
    for (const { name, context } of parsed.contexts ?? []) addFirst(this.contexts, name, file, context);
  }
}

function addFirst<T>(entries: Map<string, FromFile<T>>, name: string, file: string, entry: T): void {
  if (!entries.has(name)) entries.set(name, { file, entry });
}

/** Undefined when there is no such file. No message quotes what is in it: it holds credentials. */
async function parseFile(file: string): Promise<z.infer<typeof KubeconfigFile> | undefined> {
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return undefined;
    const why = errorCode(thrown) ?? toError(thrown).message;
    throw configError(file, `cannot be read (${why})`, 'check who may read it', thrown);
  }
  if (source.length > maxBytes) throw configError(file, 'is too big for a kubeconfig', 'name another file');
  const { documents, faults } = readYaml(source);
  const [fault] = faults;
  if (fault !== undefined) {
    throw configError(`${file}:${fault.line}:${fault.column}`, 'is not YAML', 'mend the kubeconfig');
  }
  const checked = KubeconfigFile.safeParse(documents[0]?.value ?? {});
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const path = formatFieldPath((issue?.path ?? []).map((part) => (typeof part === 'symbol' ? '' : part)));
  const what = path === '' ? 'is not a kubeconfig' : `${path} is not as it must be`;
  throw configError(file, what, issue?.message ?? 'mend it', checked.error);
}
