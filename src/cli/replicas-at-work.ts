import { sleep } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Lease, LeaseBook } from '../store/shards/lease.ts';
import { memberPrefix } from '../store/shards/shard-owner.ts';
import { CliError } from './cli-error.ts';

/** What is asked on behalf of an engine that shares its work with nobody. */
export interface LoneEngine {
  /** Where replicas have their Leases. */
  readonly leases: LeaseBook;
  /** The namespace of these. */
  readonly place: string;
  /** The namespaces that it works in; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps an engine that holds no Lease from doing again what replicas with Leases do. Of a second one like itself nothing
 * can be known, which is told.
 * @throws CliError when there are such replicas and it would work in all namespaces
 */
export async function refuseBesideReplicas({
  leases,
  place,
  namespaces,
  clock,
  log,
}: LoneEngine): Promise<void> {
  // Who may not read Leases, or has no namespace for them, is alone as far as it can know.
  const shared = await isAnyReplicaAlive(leases, clock).catch(() => false);
  if (shared && namespaces === undefined)
    throw new CliError(
      'replicas with Leases work on this cluster already',
      `Leases ${memberPrefix}… in namespace ${place}`,
      'add --shards with their number to share the work, or stop them first',
    );
  if (shared)
    log.warn('replicas with Leases work on this cluster: what they do in the same namespaces is done twice', {
      leases: place,
    });
  else
    log.warn('no Lease is held: a second engine would do the same work again; --shards 1 keeps it waiting');
}

/** By whether a Lease of a replica changes within the time in which it must: no clocks are compared. */
async function isAnyReplicaAlive(leases: LeaseBook, clock: Clock): Promise<boolean> {
  const { signal } = new AbortController();
  const replicas = async (): Promise<readonly Lease[]> =>
    (await leases.list({ signal })).filter(({ name }) => name.startsWith(memberPrefix));
  const first = await replicas();
  if (first.length === 0) return false;
  const versions = new Set(first.map(({ version }) => version));
  const longestMs = Math.max(...first.map(({ durationMs }) => durationMs));
  const giveUpAt = clock.monotonic() + longestMs / 2;
  while (clock.monotonic() < giveUpAt) {
    await sleep(Math.max(100, longestMs / 20), signal, clock);
    if ((await replicas()).some(({ version }) => !versions.has(version))) return true;
  }
  return false;
}
