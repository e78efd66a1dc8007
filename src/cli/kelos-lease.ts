import { z } from 'zod';
import { kelosLease } from '../api/names.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { escapeControls } from '../base/text.ts';
import { ApiCollection } from '../store/kubernetes/api-collection.ts';
import type { ApiServer } from '../store/kubernetes/api-server.ts';
import { CliError } from './cli-error.ts';

const Lease = z.object({
  spec: z.object({
    holderIdentity: z.string().nullish(),
    leaseDurationSeconds: z.number().nullish(),
    renewTime: z.string().nullish(),
  }),
});

/**
 * Makes sure that nobody else makes and runs the Tasks of the cluster: Kelos's controller and Telos would both start
 * the same Task. Where the Lease may not be read, that is only told.
 * @throws CliError when Kelos's controller is at work
 */
export async function refuseBesideKelos(server: ApiServer, clock: Clock, log: Logger): Promise<void> {
  const leases = new ApiCollection(server, {
    root: '/apis/coordination.k8s.io/v1',
    plural: 'leases',
    kind: 'Lease',
  });
  const found = await leases.get(kelosLease).catch((thrown: unknown) => {
    log.warn("whether Kelos's controller is at work cannot be told: make sure that it is not", {
      lease: `${kelosLease.namespace}/${kelosLease.name}`,
      error: toError(thrown).message,
    });
    return undefined;
  });
  const holder = found === undefined ? undefined : holderOf(found, clock.now());
  if (holder === undefined) return;
  throw new CliError(
    `Kelos's controller (${escapeControls(holder)}) runs the Tasks of this cluster`,
    `Lease ${kelosLease.namespace}/${kelosLease.name}`,
    'start Telos with --report only, or scale deployment/kelos-controller-manager to 0 and wait a minute',
  );
}

/** Who holds a Lease now; undefined when nobody does. */
function holderOf(sent: unknown, nowMs: number): string | undefined {
  const checked = Lease.safeParse(sent);
  if (!checked.success) return undefined;
  const { holderIdentity, leaseDurationSeconds, renewTime } = checked.data.spec;
  if (!holderIdentity) return undefined;
  const renewedMs = Date.parse(renewTime ?? '');
  // One that says no time says only who.
  if (Number.isNaN(renewedMs)) return holderIdentity;
  return renewedMs + (leaseDurationSeconds ?? 0) * 1000 + clockSkewMs >= nowMs ? holderIdentity : undefined;
}

/** How far its holder's clock may be behind ours. */
const clockSkewMs = 15_000;
