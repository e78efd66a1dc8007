import type { Lease } from './lease.ts';

/**
 * Leases as this replica has seen them change, by its own monotonic clock. That a look is late makes a Lease seem
 * younger, never older; and who then writes names the version it saw.
 */
export class ObservedLeases {
  readonly #seen = new Map<string, { readonly lease: Lease; readonly changedAt: number }>();

  /** Takes in a list of all Leases that was answered at that moment, in monotonic milliseconds. */
  observe(leases: readonly Lease[], answeredAt: number): void {
    const names = new Set(leases.map(({ name }) => name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    for (const lease of leases) {
      const before = this.#seen.get(lease.name);
      if (before?.lease.version === lease.version) continue;
      this.#seen.set(lease.name, { lease, changedAt: answeredAt });
    }
  }

  get(name: string): Lease | undefined {
    return this.#seen.get(name)?.lease;
  }

  /** For how long it has been seen unchanged, in milliseconds; 0 for one that was not seen. */
  unchangedMs(name: string, now: number): number {
    const seen = this.#seen.get(name);
    return seen === undefined ? 0 : now - seen.changedAt;
  }

  names(): Iterable<string> {
    return this.#seen.keys();
  }
}
