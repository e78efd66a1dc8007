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

/** How often it is looked whether Kelos's controller has begun, in milliseconds: it holds its Lease for longer. */
const lookMs = 5_000;
/** How far its holder's clock may be behind ours. */
const clockSkewMs = 15_000;

/**
 * Whether somebody else makes and runs the Tasks of the cluster: Kelos's controller and Telos would both start the
 * same Task. Where the Lease of that controller may not be read, that is told once.
 */
export class KelosLease {
  readonly #leases: ApiCollection;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** When it was renewed as it was last looked at, in the words of its holder. */
  #renewTime: string | undefined;
  #isTold = false;

  constructor(server: ApiServer, clock: Clock, log: Logger) {
    const root = '/apis/coordination.k8s.io/v1';
    this.#leases = new ApiCollection(server, { root, plural: 'leases', kind: 'Lease' });
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws CliError when Kelos's controller is at work */
  async refuse(): Promise<void> {
    const holder = await this.#holder(new AbortController().signal);
    if (holder !== undefined) throw atWork(holder);
  }

  /** Calls, once, when Kelos's controller has begun. Returns what ends the watch. */
  watch(onBegun: (error: CliError) => void): () => void {
    const ending = new AbortController();
    const look = async (): Promise<void> => {
      const holder = await this.#holder(ending.signal);
      if (ending.signal.aborted) return;
      if (holder === undefined) again();
      else onBegun(atWork(holder));
    };
    let cancel = (): void => {};
    const again = (): void => {
      cancel = this.#clock.after(lookMs, () => void look());
    };
    again();
    return () => {
      cancel();
      ending.abort();
    };
  }

  async #holder(signal: AbortSignal): Promise<string | undefined> {
    try {
      return this.#holderOf(await this.#leases.get(kelosLease, { signal }));
    } catch (thrown) {
      if (!signal.aborted && !this.#isTold)
        this.#log.warn("whether Kelos's controller is at work cannot be told: make sure that it is not", {
          lease: `${kelosLease.namespace}/${kelosLease.name}`,
          error: toError(thrown).message,
        });
      this.#isTold = true;
      return undefined;
    }
  }

  /** Who holds it now; undefined when nobody does. */
  #holderOf(sent: unknown): string | undefined {
    const checked = Lease.safeParse(sent);
    if (!checked.success) return undefined;
    const { holderIdentity, leaseDurationSeconds, renewTime } = checked.data.spec;
    const before = this.#renewTime;
    this.#renewTime = renewTime ?? undefined;
    if (!holderIdentity) return undefined;
    const renewedMs = Date.parse(renewTime ?? '');
    // One that says no time says only who. One that is renewed under our eyes is held, whatever its holder's clock says.
    const isRenewed = before !== undefined && before !== renewTime;
    if (Number.isNaN(renewedMs) || isRenewed) return holderIdentity;
    const heldMs = renewedMs + (leaseDurationSeconds ?? 0) * 1000 + clockSkewMs;
    return heldMs >= this.#clock.now() ? holderIdentity : undefined;
  }
}

function atWork(holder: string): CliError {
  return new CliError(
    `Kelos's controller (${escapeControls(holder)}) runs the Tasks of this cluster`,
    `Lease ${kelosLease.namespace}/${kelosLease.name}`,
    'start Telos with --report only, or scale deployment/kelos-controller-manager to 0 and wait a minute',
  );
}
