/** A page should not be much larger, in bytes of JSON: it is held whole while it is read. */
const maxPageBytes = 4 * 1024 * 1024;
/** Resources in a page at most: big ones may come after small ones, unforeseen. */
const largestPage = 100;
/** Fewer at once would be slow, whatever their size. */
const smallestPage = 10;

/**
 * How many resources to ask for at once: as many as the caller wants up to a hundred, unless they are so big that a
 * page of them would not fit (a Task's prompt alone may have hundreds of kilobytes). Learns from each page how big they are.
 */
export class PageSizes {
  readonly #bytesPerItem = new Map<string, number>();

  /** `wanted` 0 is no limit, and stays so. */
  limit(kind: string, wanted: number): number {
    if (wanted === 0) return 0;
    const bytes = this.#bytesPerItem.get(kind);
    const fitting = bytes === undefined ? largestPage : Math.floor(maxPageBytes / bytes);
    return Math.min(wanted, largestPage, Math.max(fitting, smallestPage));
  }

  learn(kind: string, pageBytes: number, items: number): void {
    if (items > 0) this.#bytesPerItem.set(kind, Math.max(pageBytes / items, 1));
  }
}
