import type { StoredResource } from './revision.ts';

/** Resources in the cache at most; what is in use at one time is far fewer. */
const maxEntries = 1024;
/** Bigger ones are not kept, so that the cache stays within some 16 MB. */
const maxSize = 16_384;

/** The resources last read or written, by version: a version never changes, so an entry is never wrong. */
export class SnapshotCache {
  readonly #entries = new Map<number, StoredResource>();

  get(rv: number): StoredResource | undefined {
    const resource = this.#entries.get(rv);
    if (resource === undefined) return undefined;
    // Put it behind the others: the first in the map is the one that goes next.
    this.#entries.delete(rv);
    this.#entries.set(rv, resource);
    return resource;
  }

  /** `size` is the length of its JSON. */
  put(rv: number, resource: StoredResource, size: number): void {
    if (size > maxSize) return;
    this.#entries.set(rv, resource);
    if (this.#entries.size <= maxEntries) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  drop(rv: number): void {
    this.#entries.delete(rv);
  }
}
