/** Suffixes under which only local or private things are found. */
const localSuffixes = [
  'localhost',
  'local',
  'internal',
  'svc',
  'cluster.local',
  'home.arpa',
  'lan',
  'onion',
] as const;

/** Why a host name is refused, or undefined. `name` is lower case and has no trailing dot. */
export function nameFault(name: string): string | undefined {
  const malformed = nameFormFault(name);
  if (malformed !== undefined) return malformed;
  const suffix = localSuffixes.find((local) => name === local || name.endsWith(`.${local}`));
  if (suffix !== undefined) return `${name} is a local name (.${suffix})`;
  return name.includes('.') ? undefined : `${name} is a single-label name`;
}

/** Why a host is no DNS name at all; nothing lifts this. */
export function nameFormFault(name: string): string | undefined {
  if (name.length > 253) return 'the host name is longer than 253 characters';
  const labels = name.split('.');
  if (labels.some((label) => label === '')) return 'the host name has an empty label';
  if (labels.some((label) => label.length > 63))
    return 'the host name has a label of more than 63 characters';
  // URLs allow more (quotes, `*`, `$`), but no host has such a name.
  if (!/^[a-z0-9_.-]+$/.test(name))
    return 'the host name has a character other than letters, digits, hyphen and dot';
  return undefined;
}

/** What names under `localhost` resolve to. */
export const loopbackAddresses: readonly string[] = ['127.0.0.1', '::1'];

/** RFC 6761: these are loopback, and nobody is asked about them. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}
