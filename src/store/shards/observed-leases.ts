import type { Lease } from './lease.ts';

/**
 * Leases as this replica has seen them change, by its own monotonic clock. That a look is late makes a Lease seem
 * younger, never older; and who then writes names the version it saw.
 */
export class ObservedLeases {
  readonly #seen = new Map<string, { readonly lease: Lease; readonly changedAt: number }>();
  /** When those were first missed that were there before. */
  readonly #missedAt = new Map<string, number>();
  #firstLookAt: number | undefined;

  /** Takes in a list of all Leases that was answered at that moment, in monotonic milliseconds. */
  observe(leases: readonly Lease[], answeredAt: number): void {
    this.#firstLookAt ??= answeredAt;
    const names = new Set(leases.map(({ name }) => name));
    for (const name of this.#seen.keys()) {
      if (!names.has(name) && this.#seen.delete(name)) this.#missedAt.set(name, answeredAt);
    }
    for (const lease of leases) {
      this.#missedAt.delete(lease.name);
      const before = this.#seen.get(lease.name);
      if (before?.lease.version === lease.version) continue;
      this.#seen.set(lease.name, { lease, changedAt: answeredAt });
    }
  }

  get(name: string): Lease | undefined {
    return this.#seen.get(name)?.lease;
  }

  /** For how long it has been seen unchanged, or seen to be missing, in milliseconds. */
  unchangedMs(name: string, now: number): number {
    const since = this.#seen.get(name)?.changedAt ?? this.#missedAt.get(name) ?? this.#firstLookAt;
    return since === undefined ? 0 : now - since;
  }

  names(): Iterable<string> {
    return this.#seen.keys();
  }
}
