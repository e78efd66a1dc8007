import type { Kind, Resource } from '../api/kinds.ts';
import { abortable, sleep } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isStoreError } from './errors.ts';
import { type Key, keyText, parseKeyText, type ResourceStore } from './store.ts';

/** What a view keeps, and who is told of its changes. */
export interface ViewOptions<K extends Kind, T> {
  /**
   * What to keep of a resource; undefined keeps nothing. Keep little: 100,000 finished Tasks pass by here.
   * Called once for each version seen.
   */
  readonly select: (resource: Resource<K>) => T | undefined;
  /** Told of each change, after the view has it. Must not throw or wait: put a key into a queue. */
  readonly onChange?: (change: ViewChange<T>) => void;
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
  values(): Iterable<T>;
  /** The entries whose `groupBy` is this text. */
  group(text: string): Iterable<T>;
}

export interface InformerOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only this namespace; absent: all. */
  readonly namespace?: string | undefined;
}

/** Resources in one page of a list: enough to be quick, few enough to leave the event loop room. */
const pageSize = 500;
/** A watch that was open so long is no failure, whatever it brought. */
const heldMs = 500;

/**
 * Follows one kind: lists it, watches from there, and lists again when the watch's version is too old.
 * All rooms share one informer per kind, each with views of its own.
 *
 * I1. A view shows, for each key, the newest version delivered; an older one never replaces it.
 * I2. A change is told once; what a fresh list shows unchanged is not told again.
 * I3. Trouble with the store ends in trying again with backoff, never in stopping.
 */
export class Informer<K extends Kind> {
  readonly #kind: K;
  readonly #options: InformerOptions;
  readonly #views: SelectedView<K, unknown>[] = [];
  readonly #synced: Promise<void>;
  #markSynced: () => void = () => {};
  #markDamaged: (error: Error) => void = () => {};
  #running = false;
  #isSynced = false;

  constructor(kind: K, options: InformerOptions) {
    this.#kind = kind;
    this.#options = options;
    this.#synced = new Promise((resolve, reject) => {
      this.#markSynced = resolve;
      this.#markDamaged = reject;
    });
    // Whoever waits hears of it; nobody has to.
    this.#synced.catch(() => {});
  }

  /** Adds a view. Only before `run`. */
  view<T>(options: ViewOptions<K, T>): View<T> {
    if (this.#running) throw new Error(`the informer of ${this.#kind} runs already: add views before run()`);
    const view = new SelectedView(options);
    this.#views.push(view as SelectedView<K, unknown>);
    return view;
  }

  /** Whether the first list is in the views. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /**
   * Resolves when the first list is in the views.
   * @throws the signal's reason when it aborts first, StoreError `Damaged` when there is nothing to wait for
   */
  synced(signal: AbortSignal): Promise<void> {
    return abortable(this.#synced, signal);
  }

  /** Follows until the signal aborts. Never rejects. Call once. */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = true;
    let failures = 0;
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.#list(signal);
        const from = version;
        const begun = this.#options.clock.monotonic();
        for await (const event of this.#options.store.watch(this.#kind, this.#watchFrom(version, signal))) {
          failures = 0;
          version =
            event.type === 'BOOKMARK' ? event.resourceVersion : event.resource.metadata.resourceVersion;
          if (event.type !== 'BOOKMARK') this.#apply(event.type === 'DELETED', event.resource);
        }
        // A watch may end at any time. One that brought nothing is begun anew after a pause, lest this loop spins; if
        // it was held for a while there was just nothing to bring.
        if (version === from) {
          failures = this.#options.clock.monotonic() - begun < heldMs ? failures + 1 : 1;
          await this.#pause(failures, signal);
        }
      } catch (thrown) {
        if (signal.aborted) return;
        if (isStoreError(thrown, 'Gone')) version = undefined;
        if (isStoreError(thrown, 'Damaged')) this.#markDamaged(thrown);
        failures += 1;
        await this.#pause(failures, signal, toError(thrown));
      }
    }
  }

  #watchFrom(
    resourceVersion: string,
    signal: AbortSignal,
  ): { resourceVersion: string; namespace?: string; signal: AbortSignal } {
    const { namespace } = this.#options;
    return { resourceVersion, signal, ...(namespace === undefined ? {} : { namespace }) };
  }

  /** Lists everything into the views; returns the version to watch from. */
  async #list(signal: AbortSignal): Promise<string> {
    const { store, namespace } = this.#options;
    // Only what is in a view already can be missing from the list.
    const seen = this.#views.some((view) => view.size > 0) ? new Set<string>() : undefined;
    let token: string | undefined;
    for (;;) {
      const page = await store.list(this.#kind, { namespace, limit: pageSize, continue: token, signal });
      for (const resource of page.items) {
        seen?.add(keyText(resource.metadata));
        this.#apply(false, resource);
      }
      token = page.continue;
      if (token === undefined) {
        if (seen !== undefined) for (const view of this.#views) view.retain(seen);
        this.#isSynced = true;
        this.#markSynced();
        return page.resourceVersion;
      }
    }
  }

  #apply(deleted: boolean, resource: Resource<K>): void {
    for (const view of this.#views) {
      try {
        view.apply(deleted, resource);
      } catch (thrown) {
        // One resource that cannot be read must not keep all others from being seen.
        this.#options.log.error('a view failed', {
          kind: this.#kind,
          key: keyText(resource.metadata),
          error: toError(thrown).message,
        });
      }
    }
  }

  /** Backs off after a failure, or until the signal aborts. */
  async #pause(failures: number, signal: AbortSignal, error?: Error): Promise<void> {
    const delayMs = Math.min(100 * 2 ** Math.min(failures - 1, 10), 30_000) * (1 + Math.random() / 10);
    if (error !== undefined) {
      this.#options.log[isStoreError(error, 'Gone') ? 'debug' : 'warn']('watching will be tried again', {
        kind: this.#kind,
        error: error.message,
        delayMs: Math.round(delayMs),
      });
    }
    // An abort ends the loop that called, not just the pause.
    await sleep(delayMs, signal, this.#options.clock).catch(() => {});
  }
}

/** One informer per kind, made when first asked for. */
export class Informers {
  readonly #options: InformerOptions;
  readonly #byKind = new Map<Kind, Informer<Kind>>();
  #running = false;

  constructor(options: InformerOptions) {
    this.#options = options;
  }

  /** The informer of a kind. A kind that nobody asked for before `run` has none. */
  of<K extends Kind>(kind: K): Informer<K> {
    let informer = this.#byKind.get(kind);
    if (informer === undefined) {
      if (this.#running) throw new Error(`nothing follows ${kind}: ask for it before run()`);
      informer = new Informer<Kind>(kind, this.#options);
      this.#byKind.set(kind, informer);
    }
    return informer as unknown as Informer<K>;
  }

  get areSynced(): boolean {
    return [...this.#byKind.values()].every((informer) => informer.isSynced);
  }

  /** Resolves when the first list of every kind is in. */
  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#byKind.values()].map((informer) => informer.synced(signal)));
  }

  /** Follows every kind that was asked for, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = true;
    await Promise.all([...this.#byKind.values()].map((informer) => informer.run(signal)));
  }
}

interface Entry<T> {
  /** Its key, the same string at each change. */
  readonly text: string;
  readonly version: number;
  readonly value: T;
}

class SelectedView<K extends Kind, T> implements View<T> {
  readonly #options: ViewOptions<K, T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #groups = new Map<string, Map<string, T>>();

  constructor(options: ViewOptions<K, T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): T | undefined {
    return this.#entries.get(keyText(key))?.value;
  }

  *values(): Iterable<T> {
    for (const entry of this.#entries.values()) yield entry.value;
  }

  group(text: string): Iterable<T> {
    return this.#groups.get(text)?.values() ?? [];
  }

  apply(deleted: boolean, resource: Resource<K>): void {
    const before = this.#entries.get(keyText(resource.metadata));
    const text = before?.text ?? keyText(resource.metadata);
    const version = Number(resource.metadata.resourceVersion);
    if (before !== undefined && (before.version > version || (before.version === version && !deleted)))
      return;
    const now = deleted ? undefined : this.#options.select(resource);
    this.#set(text, before, now === undefined ? undefined : { text, version, value: now });
  }

  /** Drops what a complete list did not show. */
  retain(seen: ReadonlySet<string>): void {
    for (const [text, entry] of this.#entries) if (!seen.has(text)) this.#set(text, entry, undefined);
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
