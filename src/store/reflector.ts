import { aborted, sleep } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isStoreError } from './errors.ts';
import type { NamespaceAccess } from './namespace-access.ts';
import { type Change, keyText } from './store.ts';
import type { Versioned } from './view.ts';

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

export interface ReflectorOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Only these namespaces; absent: all. */
  readonly namespaces?: readonly string[] | undefined;
  /** Which of these namespaces may be read now; absent: all. */
  readonly access?: NamespaceAccess | undefined;
}

/** Who is told what a collection holds. None of it may throw or wait. */
export interface Sink<R> {
  /** Whether it keeps nothing: then nothing can be missing from a list. */
  readonly isEmpty: boolean;
  apply(deleted: boolean, resource: R): void;
  /**
   * A list of one namespace, or of all, that was begun after the sink came, has been applied. `seen` has the keys that
   * it showed; undefined when all sinks were empty.
   */
  listed(seen: ReadonlySet<string> | undefined, namespace: string | undefined): void;
  /** The store has to be mended before anything can be listed. */
  damaged(error: Error): void;
  /** A namespace is not to be waited for: nobody may read it now. What was seen of it stays. */
  closed(namespace: string): void;
  /** It is there again, and about to be listed. */
  opened(namespace: string): void;
}

/** Resources in one page of a list: enough to be quick, few enough to leave the event loop room. */
const pageSize = 500;
/** A watch that was open so long is no failure, whatever it brought. */
const heldMs = 500;

/**
 * Follows one collection for however many sinks: lists it, watches from there, and lists again when the watch's
 * version is too old, or when another sink comes.
 *
 * F1. Every sink is told of one list that was begun after it came, and then of every change since.
 * F2. Trouble with the store ends in trying again with backoff, never in stopping.
 * F3. A namespace that may not be read is asked nothing, and listed anew when it may.
 * F4. There is one watch at a time, of each namespace or of all, and none while there is no sink.
 */
export class Reflector<R extends Versioned> {
  readonly #source: ListWatch<R>;
  readonly #options: ReflectorOptions;
  readonly #sinks = new Set<Sink<R>>();
  /** Namespaces that were closed when they were to be read last. */
  readonly #closed = new Set<string>();
  /** Aborts when another sink comes. */
  #joined = new AbortController();
  #running: { readonly stop: AbortController; readonly ended: Promise<unknown> } | undefined;

  constructor(source: ListWatch<R>, options: ReflectorOptions) {
    this.#source = source;
    this.#options = options;
  }

  /** Tells a sink until the signal aborts. Never rejects. */
  async follow(sink: Sink<R>, signal: AbortSignal): Promise<void> {
    this.#sinks.add(sink);
    const before = this.#joined;
    this.#joined = new AbortController();
    before.abort();
    this.#running ??= this.#start();
    await aborted(signal);
    this.#sinks.delete(sink);
    const running = this.#running;
    if (this.#sinks.size > 0 || running === undefined) return;
    this.#running = undefined;
    running.stop.abort();
    await running.ended;
  }

  #start(): { readonly stop: AbortController; readonly ended: Promise<unknown> } {
    const stop = new AbortController();
    const namespaces = this.#options.namespaces ?? [undefined];
    // Versions of one namespace say nothing of another's: each is followed for itself.
    const ended = Promise.all(namespaces.map((namespace) => this.#loop(namespace, stop.signal)));
    return { stop, ended };
  }

  async #loop(namespace: string | undefined, stopped: AbortSignal): Promise<void> {
    let failures = 0;
    let version: string | undefined;
    let joined = this.#joined;
    while (!stopped.aborted) {
      if (joined !== this.#joined) version = undefined;
      joined = this.#joined;
      const signal = AbortSignal.any([stopped, joined.signal]);
      try {
        if (await this.#untilOpen(namespace, signal)) version = undefined;
        version ??= await this.#list(namespace, signal);
        const from = version;
        const begun = this.#options.clock.monotonic();
        for await (const event of this.#source.watch({ namespace, resourceVersion: version, signal })) {
          if (signal.aborted) break;
          failures = 0;
          version =
            event.type === 'BOOKMARK' ? event.resourceVersion : event.resource.metadata.resourceVersion;
          if (event.type !== 'BOOKMARK') this.#apply(event.type === 'DELETED', event.resource);
        }
        // A watch may end at any time. One that brought nothing is begun anew after a pause, lest this loop spins; if
        // it was held for a while there was just nothing to bring.
        if (version === from && !signal.aborted) {
          failures = this.#options.clock.monotonic() - begun < heldMs ? failures + 1 : 1;
          await this.#pause(failures, signal);
        }
      } catch (thrown) {
        if (signal.aborted) continue;
        if (isStoreError(thrown, 'Gone')) version = undefined;
        if (isStoreError(thrown, 'Damaged')) for (const sink of this.#sinks) sink.damaged(thrown);
        failures += 1;
        await this.#pause(failures, signal, toError(thrown));
      }
    }
  }

  /** Waits until a namespace may be read; returns whether it was closed. @throws the signal's reason */
  async #untilOpen(namespace: string | undefined, signal: AbortSignal): Promise<boolean> {
    const { access } = this.#options;
    if (namespace === undefined || access === undefined) return false;
    for (;;) {
      const state = access.stateOf(namespace);
      if (state === 'open') break;
      if (state === 'closed') {
        this.#closed.add(namespace);
        for (const sink of this.#sinks) sink.closed(namespace);
      }
      await access.changed(namespace, signal);
    }
    if (!this.#closed.delete(namespace)) return false;
    for (const sink of this.#sinks) sink.opened(namespace);
    return true;
  }

  /** Lists everything; returns the version to watch from. @throws when the signal aborts */
  async #list(namespace: string | undefined, signal: AbortSignal): Promise<string> {
    // Only what is kept already can be missing from the list.
    const keeps = [...this.#sinks].some((sink) => !sink.isEmpty);
    const seen = keeps ? new Set<string>() : undefined;
    let token: string | undefined;
    for (;;) {
      const page = await this.#source.list({ namespace, limit: pageSize, continue: token, signal });
      signal.throwIfAborted();
      for (const resource of page.items) {
        seen?.add(keyText(resource.metadata));
        this.#apply(false, resource);
      }
      token = page.continue;
      if (token === undefined) {
        for (const sink of this.#sinks) sink.listed(seen, namespace);
        return page.resourceVersion;
      }
    }
  }

  #apply(deleted: boolean, resource: R): void {
    for (const sink of this.#sinks) sink.apply(deleted, resource);
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
    // An abort ends or begins anew the loop that called, not just the pause.
    await sleep(delayMs, signal, this.#options.clock).catch(() => {});
  }
}
