import type { Kind, Resource } from '../api/kinds.ts';
import { abortable } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { type ListWatch, Reflector, type ReflectorOptions, type Sink } from './reflector.ts';
import { keyText, type ResourceStore } from './store.ts';
import { SelectedView, type Versioned, type View, type ViewOptions } from './view.ts';

export interface InformerOptions<R extends Versioned = Versioned> extends ReflectorOptions {
  /** What follows the collection for others, too; absent: a reflector of its own. */
  readonly shared?: Shared<R> | undefined;
}

/** A following that is shared, and what of it is ours. */
interface Shared<R extends Versioned> {
  readonly reflector: Reflector<R>;
  /** Whether what is in a namespace is shown. */
  readonly concerns: (namespace: string) => boolean;
}

export interface InformersOptions extends ReflectorOptions {
  readonly store: ResourceStore;
  /** What follows the kinds for others, too, and what of it is ours; absent: reflectors of their own. */
  readonly shared?:
    | { readonly reflectors: Reflectors; readonly concerns: (namespace: string) => boolean }
    | undefined;
}

/**
 * Views of one collection that are kept up: what a reflector lists and watches is put into them.
 * All rooms share one informer per kind, each with views of its own.
 *
 * I1. A view shows, for each key, the newest version delivered; an older one never replaces it.
 * I2. A change is told once; what a fresh list shows unchanged is not told again.
 */
export class Informer<R extends Versioned> {
  readonly #source: ListWatch<R>;
  readonly #options: InformerOptions<R>;
  readonly #views: SelectedView<R, unknown>[] = [];
  #synced: Promise<void>;
  #markSynced: () => void = () => {};
  #markDamaged: (error: Error) => void = () => {};
  /** Namespaces whose first list is awaited and not in the views; `undefined` stands for all of them. */
  readonly #unlisted: Set<string | undefined>;
  #running = false;

  constructor(source: ListWatch<R>, options: InformerOptions<R>) {
    this.#source = source;
    this.#options = options;
    this.#unlisted = new Set(options.namespaces ?? [undefined]);
    this.#synced = this.#untilListed();
  }

  /** Adds a view. Only before `run`. */
  view<T>(options: ViewOptions<R, T>): View<T> {
    if (this.#running)
      throw new Error(`the informer of ${this.#source.name} runs already: add views before run()`);
    const view = new SelectedView(options);
    this.#views.push(view as SelectedView<R, unknown>);
    return view;
  }

  /** Whether the first list of each namespace that is open is in the views. */
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
    const reflector = this.#options.shared?.reflector ?? new Reflector(this.#source, this.#options);
    await reflector.follow(this.#sink(), signal);
  }

  #sink(): Sink<R> {
    const views = this.#views;
    return {
      get isEmpty() {
        return views.every((view) => view.size === 0);
      },
      apply: (deleted, resource) => {
        if (this.#concerns(resource.metadata.namespace)) this.#apply(deleted, resource);
      },
      listed: (seen, namespace) => {
        if (namespace !== undefined && !this.#concerns(namespace)) return;
        if (seen !== undefined) for (const view of views) view.retain(seen, namespace);
        this.#awaitNoLonger(namespace);
      },
      damaged: (error) => this.#markDamaged(error),
      closed: (namespace) => this.#awaitNoLonger(namespace),
      opened: (namespace) => {
        if (!this.#concerns(namespace)) return;
        if (this.isSynced) this.#synced = this.#untilListed();
        this.#unlisted.add(namespace);
      },
    };
  }

  #untilListed(): Promise<void> {
    const listed = new Promise<void>((resolve, reject) => {
      this.#markSynced = resolve;
      this.#markDamaged = reject;
    });
    // Whoever waits hears of it; nobody has to.
    listed.catch(() => {});
    return listed;
  }

  #awaitNoLonger(namespace: string | undefined): void {
    this.#unlisted.delete(namespace);
    if (this.isSynced) this.#markSynced();
  }

  #concerns(namespace: string): boolean {
    return this.#options.shared?.concerns(namespace) ?? true;
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
}

/** A kind of a store, to be followed. */
export function kindSource<K extends Kind>(kind: K, store: ResourceStore): ListWatch<Resource<K>> {
  return {
    name: kind,
    list: (options) => store.list(kind, options),
    watch: (options) => store.watch(kind, options),
  };
}

/** One reflector per kind of a store, made when first asked for, for all who follow it together. */
export class Reflectors {
  readonly #store: ResourceStore;
  readonly #options: ReflectorOptions;
  readonly #byKind = new Map<Kind, Reflector<Resource>>();

  constructor(store: ResourceStore, options: ReflectorOptions) {
    this.#store = store;
    this.#options = options;
  }

  of(kind: Kind): Reflector<Resource> {
    let reflector = this.#byKind.get(kind);
    if (reflector === undefined) {
      reflector = new Reflector<Resource>(kindSource<Kind>(kind, this.#store), this.#options);
      this.#byKind.set(kind, reflector);
    }
    return reflector;
  }
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
      const { store, shared, ...rest } = this.#options;
      informer = new Informer<Resource>(kindSource<Kind>(kind, store), {
        ...rest,
        shared: shared && { reflector: shared.reflectors.of(kind), concerns: shared.concerns },
      });
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
