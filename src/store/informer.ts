import type { Kind, Resource } from '../api/kinds.ts';
import { abortable, sleep } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isStoreError } from './errors.ts';
import { type Change, keyText, type ResourceStore } from './store.ts';
import { SelectedView, type Versioned, type View, type ViewOptions } from './view.ts';

/** A collection that can be followed: it lists and watches as a `ResourceStore` does. */
export interface ListWatch<R extends Versioned> {
  /** What messages call it. */
  readonly name: string;
  list(options: FollowOptions & { readonly limit: number; readonly continue: string | undefined }): Promise<{
    readonly items: readonly R[];
    readonly resourceVersion: string;
    readonly continue?: string | undefined;
  }>;
  watch(options: FollowOptions & { readonly resourceVersion: string }): AsyncIterable<Change<R>>;
}

interface FollowOptions {
  /** Undefined: all. */
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
}

export interface InformerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Only these namespaces; absent: all. */
  readonly namespaces?: readonly string[] | undefined;
}

export interface InformersOptions extends InformerOptions {
  readonly store: ResourceStore;
}

/** Resources in one page of a list: enough to be quick, few enough to leave the event loop room. */
const pageSize = 500;
/** A watch that was open so long is no failure, whatever it brought. */
const heldMs = 500;

/**
 * Follows one collection: lists it, watches from there, and lists again when the watch's version is too old.
 * All rooms share one informer per kind, each with views of its own.
 *
 * I1. A view shows, for each key, the newest version delivered; an older one never replaces it.
 * I2. A change is told once; what a fresh list shows unchanged is not told again.
 * I3. Trouble with the store ends in trying again with backoff, never in stopping.
 */
export class Informer<R extends Versioned> {
  readonly #source: ListWatch<R>;
  readonly #options: InformerOptions;
  readonly #views: SelectedView<R, unknown>[] = [];
  readonly #synced: Promise<void>;
  #markSynced: () => void = () => {};
  #markDamaged: (error: Error) => void = () => {};
  /** Namespaces whose first list is not in the views; `undefined` stands for all of them. */
  readonly #unlisted: Set<string | undefined>;
  #running = false;

  constructor(source: ListWatch<R>, options: InformerOptions) {
    this.#source = source;
    this.#options = options;
    this.#unlisted = new Set(options.namespaces ?? [undefined]);
    this.#synced = new Promise((resolve, reject) => {
      this.#markSynced = resolve;
      this.#markDamaged = reject;
    });
    // Whoever waits hears of it; nobody has to.
    this.#synced.catch(() => {});
  }

  /** Adds a view. Only before `run`. */
  view<T>(options: ViewOptions<R, T>): View<T> {
    if (this.#running)
      throw new Error(`the informer of ${this.#source.name} runs already: add views before run()`);
    const view = new SelectedView(options);
    this.#views.push(view as SelectedView<R, unknown>);
    return view;
  }

  /** Whether the first list is in the views. */
  get isSynced(): boolean {
    return this.#unlisted.size === 0;
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
    // Versions of one namespace say nothing of another's: each is followed for itself.
    await Promise.all([...this.#unlisted].map((namespace) => this.#follow(namespace, signal)));
  }

  async #follow(namespace: string | undefined, signal: AbortSignal): Promise<void> {
    let failures = 0;
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.#list(namespace, signal);
        const from = version;
        const begun = this.#options.clock.monotonic();
        for await (const event of this.#source.watch({ namespace, resourceVersion: version, signal })) {
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

  /** Lists everything into the views; returns the version to watch from. */
  async #list(namespace: string | undefined, signal: AbortSignal): Promise<string> {
    // Only what is in a view already can be missing from the list.
    const seen = this.#views.some((view) => view.size > 0) ? new Set<string>() : undefined;
    let token: string | undefined;
    for (;;) {
      const page = await this.#source.list({ namespace, limit: pageSize, continue: token, signal });
      for (const resource of page.items) {
        seen?.add(keyText(resource.metadata));
        this.#apply(false, resource);
      }
      token = page.continue;
      if (token === undefined) {
        if (seen !== undefined) for (const view of this.#views) view.retain(seen, namespace);
        this.#unlisted.delete(namespace);
        if (this.isSynced) this.#markSynced();
        return page.resourceVersion;
      }
    }
  }

  #apply(deleted: boolean, resource: R): void {
    for (const view of this.#views) {
      try {
        view.apply(deleted, resource);
      } catch (thrown) {
        // One resource that cannot be read must not keep all others from being seen.
        this.#options.log.error('a view failed', {
          kind: this.#source.name,
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
        kind: this.#source.name,
        error: error.message,
        delayMs: Math.round(delayMs),
      });
    }
    // An abort ends the loop that called, not just the pause.
    await sleep(delayMs, signal, this.#options.clock).catch(() => {});
  }
}

/** A kind of a store, to be followed. */
export function kindSource<K extends Kind>(kind: K, store: ResourceStore): ListWatch<Resource<K>> {
  return {
    name: kind,
    list: (options) => store.list(kind, options),
    watch: (options) => store.watch(kind, options),
  };
}

/** One informer per kind, made when first asked for. */
export class Informers {
  readonly #options: InformersOptions;
  readonly #byKind = new Map<Kind, Informer<Resource>>();
  #running = false;

  constructor(options: InformersOptions) {
    this.#options = options;
  }

  /** The informer of a kind. A kind that nobody asked for before `run` has none. */
  of<K extends Kind>(kind: K): Informer<Resource<K>> {
    let informer = this.#byKind.get(kind);
    if (informer === undefined) {
      if (this.#running) throw new Error(`nothing follows ${kind}: ask for it before run()`);
      informer = new Informer<Resource>(kindSource<Kind>(kind, this.#options.store), this.#options);
      this.#byKind.set(kind, informer);
    }
    return informer as unknown as Informer<Resource<K>>;
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
