import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { UsageError } from './cli-error.ts';

/** Which store `--store` names. */
export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly path: string; readonly isDefault: boolean }
  | { readonly kind: 'kubernetes'; readonly context: string | undefined };

/** Reads `sqlite:PATH` or `kubernetes[:CONTEXT]`; absent: the default file. @throws UsageError */
export function parseStoreLocation(
  text: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): StoreLocation {
  if (text === undefined) return { kind: 'sqlite', path: defaultStorePath(env), isDefault: true };
  const colon = text.indexOf(':');
  const scheme = colon === -1 ? text : text.slice(0, colon);
  const rest = colon === -1 ? '' : text.slice(colon + 1);
  if (scheme === 'sqlite' && rest !== '') return { kind: 'sqlite', path: resolve(rest), isDefault: false };
  if (scheme === 'kubernetes') return { kind: 'kubernetes', context: rest === '' ? undefined : rest };
  throw new UsageError(`not a store: '${text}'`, '--store', 'write sqlite:PATH or kubernetes[:CONTEXT]');
}

/** `telos/telos.db` in the XDG data folder. */
function defaultStorePath(env: Readonly<Record<string, string | undefined>>): string {
  const dataHome = env['XDG_DATA_HOME'];
  // The XDG rules: a relative path is to be ignored.
  const base =
    dataHome !== undefined && isAbsolute(dataHome)
      ? dataHome
      : join(env['HOME'] || homedir(), '.local/share');
  return join(base, 'telos', 'telos.db');
}

/** Where the runner of a SQLite store keeps one folder per Task. */
export function runDirectory(storePath: string): string {
  return `${storePath}.runs`;
}

/** The location as `--store` takes it. */
export function formatStoreLocation(location: StoreLocation): string {
  if (location.kind === 'sqlite') return `sqlite:${location.path}`;
  return location.context === undefined ? 'kubernetes' : `kubernetes:${location.context}`;
}
