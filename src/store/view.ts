import { type Key, keyText, parseKeyText } from './store.ts';

/** Whatever has a name and a version. */
export interface Versioned {
  readonly metadata: Key & { readonly resourceVersion: string };
}

/** What a view keeps, and who is told of its changes. */
export interface ViewOptions<R, T> {
  /**
   * What to keep of a resource; undefined keeps nothing. Keep little: 100,000 finished Tasks pass by here.
   * Called once for each version seen.
   */
  readonly select: (resource: R) => T | undefined;
  /** Told of each change, after the view has it. Must not throw or wait: put a key into a queue. */
  readonly onChange?: (change: ViewChange<T>) => void;
  /**
   * Told of each resource that it kept and that was deleted, as it was last; before `onChange`. Not of one that went
   * unseen, and is only missing from a list.
   */
  readonly onDelete?: (resource: R) => void;
  /** Groups entries under a text, for `View.group`. */
  readonly groupBy?: (value: T) => string | undefined;
}

export interface ViewChange<T> {
  readonly key: Key;
  /** The key as `keyText` writes it: the view's own copy, so that keeping it costs nothing. */
  readonly text: string;
  readonly before: T | undefined;
  /** Undefined: deleted, or no longer selected. */
  readonly now: T | undefined;
}

/** A selected, local, eventually current copy of one kind. */
export interface View<T> {
  readonly size: number;
  get(key: Key): T | undefined;
  /** The keys, as `keyText` writes them. */
  keys(): Iterable<string>;
  values(): Iterable<T>;
  /** The entries whose `groupBy` is this text. */
  group(text: string): Iterable<T>;
}

interface Entry<T> {
  /** Its key, the same string at each change. */
  readonly text: string;
  readonly version: number;
  readonly value: T;
}

/** A view that is kept up by whoever follows the collection. */
export class SelectedView<R extends Versioned, T> implements View<T> {
  readonly #options: ViewOptions<R, T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #groups = new Map<string, Map<string, T>>();

  constructor(options: ViewOptions<R, T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): T | undefined {
    return this.#entries.get(keyText(key))?.value;
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  *values(): Iterable<T> {
    for (const entry of this.#entries.values()) yield entry.value;
  }

  group(text: string): Iterable<T> {
    return this.#groups.get(text)?.values() ?? [];
  }

  apply(deleted: boolean, resource: R): void {
    const before = this.#entries.get(keyText(resource.metadata));
    const text = before?.text ?? keyText(resource.metadata);
    const version = Number(resource.metadata.resourceVersion);
    if (before !== undefined && (before.version > version || (before.version === version && !deleted)))
      return;
    if (deleted && before !== undefined) this.#options.onDelete?.(resource);
    const now = deleted ? undefined : this.#options.select(resource);
    this.#set(text, before, now === undefined ? undefined : { text, version, value: now });
  }

  /** Drops what a complete list, of one namespace or of all, did not show. */
  retain(seen: ReadonlySet<string>, namespace: string | undefined): void {
    for (const [text, entry] of this.#entries) {
      const wasListed = namespace === undefined || parseKeyText(text).namespace === namespace;
      if (wasListed && !seen.has(text)) this.#set(text, entry, undefined);
    }
  }

  #set(text: string, before: Entry<T> | undefined, now: Entry<T> | undefined): void {
    if (before === undefined && now === undefined) return;
    if (now === undefined) this.#entries.delete(text);
    else this.#entries.set(text, now);
    this.#regroup(text, before?.value, now?.value);
    const { onChange } = this.#options;
    onChange?.({ key: parseKeyText(text), text, before: before?.value, now: now?.value });
  }

  #regroup(text: string, before: T | undefined, now: T | undefined): void {
    const { groupBy } = this.#options;
    if (groupBy === undefined) return;
    const from = before === undefined ? undefined : groupBy(before);
    const to = now === undefined ? undefined : groupBy(now);
    if (from !== undefined && from !== to) {
      const group = this.#groups.get(from);
      group?.delete(text);
      if (group?.size === 0) this.#groups.delete(from);
    }
    if (to === undefined || now === undefined) return;
    let group = this.#groups.get(to);
    if (group === undefined) {
      group = new Map();
      this.#groups.set(to, group);
    }
    group.set(text, now);
  }
}
