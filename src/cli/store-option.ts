import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { parseLabelSelector } from '../store/label-selector.ts';
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../store/store.ts';
import { UsageError } from './cli-error.ts';
import type { CommandContext } from './command-context.ts';
import { checkNamespace } from './flags.ts';
import type { StoreLocation } from './store-location.ts';

/** Opens the store that `--store` names. @throws StoreError `Unavailable`, or CliError, each with its remedy. */
export async function openStore(
  location: StoreLocation,
  options: { readonly clock: Clock; readonly log: Logger; readonly env: CommandContext['env'] },
): Promise<ResourceStore> {
  if (location.kind === 'kubernetes') {
    // Loaded when it is wanted: most commands start without HTTP.
    const { openKubernetesStore } = await import('../store/kubernetes/kubernetes-store.ts');
    return openKubernetesStore({ context: location.context, ...options });
  }
  await makeDefaultFolder(location);
  const { clock, log } = options;
  return openSqliteStore({ path: location.path, clock, log });
}

/** A path that somebody chose is theirs to make; a typing error must not leave folders behind. */
export async function makeDefaultFolder(
  location: StoreLocation & { readonly kind: 'sqlite' },
): Promise<void> {
  if (location.isDefault) await mkdir(dirname(location.path), { recursive: true, mode: 0o700 });
}

function checkSelector(selector: string | undefined): void {
  try {
    parseLabelSelector(selector);
  } catch (thrown) {
    const remedy = 'write labels such as a=b,c!=d,e in (f,g),!h';
    throw new UsageError('not a label selector', `--selector '${selector}'`, remedy, { cause: thrown });
  }
}

/** Opens the store for one command and closes it whatever happens. */
export async function withStore<T>(
  context: CommandContext,
  use: (store: ResourceStore) => Promise<T>,
): Promise<T> {
  const { namespace, store: location } = context.options;
  checkNamespace(namespace);
  checkSelector(context.options.selector);
  const store = await openStore(location, { clock: context.clock, log: silentLogger, env: context.env });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}
