import { rightsFinalizer } from '../../api/names.ts';
import { abortable } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isRefusedByStore, isStoreError } from '../errors.ts';
import { everyPage } from '../every-page.ts';
import type { Informers } from '../informer.ts';
import type { NamespaceAccess } from '../namespace-access.ts';
import { type ListWatch, Reflector } from '../reflector.ts';
import { within } from '../shards/lease-holder.ts';
import type { Tenure } from '../shards/tenure.ts';
import { keyText, type ResourceStore } from '../store.ts';
import type { View } from '../view.ts';
import { type Reconciled, Workqueue } from '../workqueue.ts';
import { decideGrant, type GrantFacts, isHeldTask, mayBeHeldTask } from './decide-grant.ts';
import type { Grant, GrantBook } from './grant.ts';

export interface NamespaceRightsOptions {
  readonly book: GrantBook;
  /** The namespaces that are watched. */
  readonly namespaces: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Who works in some of the namespaces. */
export interface Occupant {
  readonly namespaces: readonly string[];
  readonly store: ResourceStore;
  /** Not yet running. */
  readonly informers: Informers;
  readonly tenure: Tenure;
  /** Whether something of a namespace is to be told, perhaps for the last time. */
  owesAttempts(namespace: string): boolean;
}

/** An occupant, and the Tasks that it holds. */
interface Tenant extends Occupant {
  /** The namespaces of the Tasks that are held, grouped by themselves. */
  readonly held: View<string>;
}

/** How soon a grant that still has to stay is looked at again, in milliseconds. */
const lookAgainMs = 250;
const pageSize = 100;
/** The longest that somebody who ends takes over it. */
const leaveMs = 1_000;

/**
 * Sees to it that Telos keeps its rights in the watched namespaces for as long as it has something there to let go of.
 *
 * N1. A namespace is open to its occupant only when its grant has the finalizer, or cannot have it.
 * N2. A grant that goes with its namespace is let go when no Task there is held by Telos any more, and last attempts
 *     have been made, or had 30 s for it.
 * N3. A grant that somebody takes back is let go at once, and one where nothing is held when its occupant leaves.
 * N4. A namespace without a grant is closed: that is said once, and hurts no other. It opens when the grant is there.
 */
export class NamespaceRights implements NamespaceAccess {
  readonly #options: NamespaceRightsOptions;
  readonly #queue: Workqueue;
  /** By namespace; undefined: there is none. A namespace of which nothing is known yet has no entry. */
  readonly #grants = new Map<string, Grant | undefined>();
  readonly #states = new Map<string, 'open' | 'closed'>();
  readonly #tenants = new Map<string, Tenant>();
  /** Since when a grant has been seen being deleted, monotonic. */
  readonly #deletingSince = new Map<string, number>();
  /** Aborts when the state of a namespace changes. */
  readonly #changes = new Map<string, AbortController>();
  /** Namespaces whose trouble has been said. */
  readonly #said = new Set<string>();

  constructor(options: NamespaceRightsOptions) {
    this.#options = options;
    this.#queue = new Workqueue({
      reconcile: (namespace, signal) => this.#reconcile(namespace, signal),
      clock: options.clock,
      concurrency: 16,
      onError: (namespace, error) => this.#say(namespace, error),
    });
  }

  stateOf(namespace: string): 'open' | 'closed' | 'unknown' {
    return this.#states.get(namespace) ?? 'unknown';
  }

  changed(namespace: string, signal: AbortSignal): Promise<void> {
    const change = this.#changes.get(namespace) ?? new AbortController();
    this.#changes.set(namespace, change);
    const told = new Promise<void>((resolve) => {
      change.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return abortable(told, signal);
  }

  /** Follows the grants until the signal aborts. Never rejects. Call once. */
  async run(signal: AbortSignal): Promise<void> {
    const { book, namespaces, clock, log } = this.#options;
    const source: ListWatch<Grant> = {
      name: book.name,
      list: async (options) => {
        try {
          return await book.list(options);
        } catch (thrown) {
          // Whoever may not look has no grant.
          const isRefused = isRefusedByStore(thrown);
          if (isRefused && options.namespace !== undefined) this.#see(options.namespace, undefined);
          throw thrown;
        }
      },
      watch: (options) => book.watch(options),
    };
    // What is not there is said once, by the namespace.
    const quiet: Logger = { ...log, warn: (message, fields) => log.debug(message, fields) };
    const reflector = new Reflector(source, { clock, log: quiet, namespaces });
    const sink = {
      isEmpty: false,
      apply: (deleted: boolean, grant: Grant) =>
        this.#see(grant.metadata.namespace, deleted ? undefined : grant),
      listed: (seen: ReadonlySet<string> | undefined, namespace: string | undefined) => {
        if (namespace === undefined) return;
        const grant = this.#grants.get(namespace);
        if (grant === undefined || seen?.has(keyText(grant.metadata)) === false)
          this.#see(namespace, undefined);
      },
      damaged: () => {},
      closed: () => {},
      opened: () => {},
    };
    await Promise.all([reflector.follow(sink, signal), this.#queue.run(signal)]);
  }

  /** From now on somebody works in some of the namespaces. Call before its informers run, and `leave` at the end. */
  enter(occupant: Occupant): Tenant {
    const held = occupant.informers.of('Task').view<string>({
      select: (task) => (isHeldTask(task) ? task.metadata.namespace : undefined),
      groupBy: (namespace) => namespace,
      onChange: ({ key: { namespace }, now }) => {
        if (now === undefined && this.#deletingSince.has(namespace)) this.#queue.add(namespace);
      },
    });
    const tenant = { ...occupant, owesAttempts: occupant.owesAttempts.bind(occupant), held };
    for (const namespace of occupant.namespaces) {
      this.#tenants.set(namespace, tenant);
      const grant = this.#grants.get(namespace);
      // N1: its first list waits for the finalizer.
      if (grant !== undefined && !isHeld(grant)) this.#set(namespace, undefined);
      if (this.#grants.has(namespace)) this.#queue.add(namespace);
    }
    return tenant;
  }

  /** Lets go of the grants where nothing is held, as far as that takes no time. Never rejects. */
  async leave(tenant: Tenant): Promise<void> {
    const { clock } = this.#options;
    for (const namespace of tenant.namespaces) this.#tenants.delete(namespace);
    await Promise.all(
      tenant.namespaces.map(async (namespace) => {
        const grant = this.#grants.get(namespace);
        if (grant === undefined || tenant.tenure.signal.aborted) return;
        try {
          await within(leaveMs, clock, async (late) => {
            const signal = AbortSignal.any([late, tenant.tenure.signal]);
            const facts = await this.#factsOf(grant, tenant, true, signal);
            if (decideGrant(facts).do === 'release') await this.#write(grant, tenant, signal);
          });
        } catch (thrown) {
          this.#say(namespace, toError(thrown));
        }
      }),
    );
  }

  #see(namespace: string, grant: Grant | undefined): void {
    this.#grants.set(namespace, grant);
    if (grant?.isDeleting !== true) this.#deletingSince.delete(namespace);
    else if (!this.#deletingSince.has(namespace))
      this.#deletingSince.set(namespace, this.#options.clock.monotonic());
    this.#queue.add(namespace);
  }

  async #reconcile(namespace: string, signal: AbortSignal): Promise<Reconciled | undefined> {
    const grant = this.#grants.get(namespace);
    if (grant === undefined) {
      this.#close(namespace);
      return undefined;
    }
    const tenant = this.#tenants.get(namespace);
    if (tenant === undefined) {
      this.#open(namespace);
      return undefined;
    }
    if (isHeld(grant) || grant.isDeleting) this.#open(namespace);
    const step = decideGrant(await this.#factsOf(grant, tenant, false, signal));
    if (step.do === 'wait') return { againAfterMs: lookAgainMs };
    if (step.do === 'nothing' || this.#tenants.get(namespace) !== tenant) return undefined;
    try {
      await this.#write(grant, tenant, signal);
    } catch (thrown) {
      // A newer version is on its way through the watch.
      if (isStoreError(thrown, 'Conflict') || isStoreError(thrown, 'NotFound')) return undefined;
      // Work must not wait for a right that it had none of before.
      if (isRefusedByStore(thrown)) this.#open(namespace);
      throw thrown;
    }
    this.#said.delete(namespace);
    if (step.do === 'hold') this.#open(namespace);
    return undefined;
  }

  async #factsOf(grant: Grant, tenant: Tenant, isLeaving: boolean, signal: AbortSignal): Promise<GrantFacts> {
    const { book, clock } = this.#options;
    const { namespace } = grant.metadata;
    const { isDeleting } = grant;
    const isNamespaceGoing =
      isDeleting && isHeld(grant) && (await book.isNamespaceGoing(namespace, { signal }));
    const seesHeld = [...tenant.held.group(namespace)].length > 0;
    return {
      isHeld: isHeld(grant),
      isDeleting,
      isLeaving,
      isNamespaceGoing,
      // What was seen is not enough when there is no way back.
      holdsTasks: seesHeld || (isNamespaceGoing && (await holdsAny(tenant.store, namespace, signal))),
      owesAttempts: tenant.owesAttempts(namespace),
      deletingMs: clock.monotonic() - (this.#deletingSince.get(namespace) ?? clock.monotonic()),
    };
  }

  /** Adds the finalizer, or takes it off. */
  async #write(grant: Grant, { tenure }: Tenant, signal: AbortSignal): Promise<void> {
    const others = grant.finalizers.filter((finalizer) => finalizer !== rightsFinalizer);
    const finalizers = isHeld(grant) ? others : [...others, rightsFinalizer];
    tenure.check();
    const written = await this.#options.book.writeFinalizers(grant, finalizers, { signal });
    const { namespace } = grant.metadata;
    // Once let go it may be looked at again before the watch says that it is gone.
    if (this.#grants.get(namespace) === grant) this.#grants.set(namespace, written);
  }

  #open(namespace: string): void {
    const { log } = this.#options;
    if (this.#set(namespace, 'open') === 'closed')
      log.info('a watched namespace is there again', { namespace });
  }

  #close(namespace: string): void {
    if (this.#set(namespace, 'closed') === 'closed') return;
    this.#options.log.warn('there are no rights in a watched namespace: it waits until they are there', {
      namespace,
      remedy: 'if it was deleted, watch it no longer; if not, apply the manifests again',
    });
  }

  /** Returns the state before. */
  #set(namespace: string, state: 'open' | 'closed' | undefined): 'open' | 'closed' | undefined {
    const before = this.#states.get(namespace);
    if (before === state) return before;
    if (state === undefined) this.#states.delete(namespace);
    else this.#states.set(namespace, state);
    this.#changes.get(namespace)?.abort();
    this.#changes.delete(namespace);
    return before;
  }

  #say(namespace: string, error: Error): void {
    const level = this.#said.has(namespace) ? 'debug' : 'warn';
    this.#said.add(namespace);
    this.#options.log[level]('the RoleBinding in a watched namespace cannot be kept or let go', {
      namespace,
      error: error.message,
    });
  }
}

function isHeld(grant: Grant): boolean {
  return grant.finalizers.includes(rightsFinalizer);
}

/** Whether a Task of a namespace that goes is held, or may come to be. @throws StoreError */
async function holdsAny(store: ResourceStore, namespace: string, signal: AbortSignal): Promise<boolean> {
  const namespaces = [namespace];
  for await (const page of everyPage(store, 'Task', { namespaces, limit: pageSize, signal })) {
    if (page.some(mayBeHeldTask)) return true;
  }
  signal.throwIfAborted();
  return false;
}
