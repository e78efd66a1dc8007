import type { Delivery } from '../api/delivery.ts';
import type { Hook } from '../api/hook.ts';
import { apiVersionOf } from '../api/kinds.ts';
import { sleep } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { isStoreError } from '../store/errors.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyText } from '../store/store.ts';
import type { AttemptResult } from './attempt.ts';
import { type DeliveryStep, needsDispatch } from './decide-delivery.ts';
import { type Departure, decideDeparture } from './decide-last-attempt.ts';
import { fieldsOf } from './delivery-news.ts';
import { FairQueue } from './fair-queue.ts';
import { laneOf, urlSecretOf } from './lane.ts';
import type { LastOutcome, ReportMetrics } from './metrics.ts';

/** What the dispatcher does for a last attempt as for any other. */
export interface LastAttemptWork {
  readonly step: (delivery: Delivery) => Promise<DeliveryStep>;
  readonly attempt: (delivery: Delivery, hook: Hook) => Promise<AttemptResult>;
  /** The origin that it leads to; undefined when nothing will be sent there. */
  readonly laneOf: (delivery: Delivery, hook: Hook) => Promise<string | undefined>;
}

/** So many at once, besides the attempts of the agenda; so many of one origin. */
const limits = { total: 64, perLane: 16, reserved: 16 };
/** So many are kept until their turn. Whoever goes with more than that goes untold. */
const maxKept = 10_000;
/** How long an API server that does not say whether a namespace goes is left alone. */
const askAgainMs = 1_000;

/** A Delivery that was deleted unsettled. */
interface Departed {
  readonly delivery: Delivery;
  readonly underWay: boolean;
  /** When it was deleted, monotonic. */
  readonly since: number;
}

/**
 * Tells the world once more of what goes with its namespace.
 *
 * L1. One attempt at a Delivery, begun within 30 s of its end, whatever its schedule says or its origin is like.
 * L2. A Delivery that was deleted while its namespace stays was taken back by somebody, and is not sent.
 * L3. Nothing is held, and nothing is written: a namespace never waits for this.
 */
export class LastAttempts {
  readonly #deps: RoomDeps;
  readonly #work: LastAttemptWork;
  readonly #metrics: ReportMetrics;
  /** Of which it is not known why they were deleted, by namespace. */
  readonly #unexplained = new Map<string, Departed[]>();
  /** How many of a namespace have no outcome yet. */
  readonly #outstanding = new Map<string, number>();
  readonly #queue = new FairQueue(limits);
  readonly #queued = new Map<string, Departed>();
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #kept = 0;

  constructor(deps: RoomDeps, work: LastAttemptWork, metrics: ReportMetrics) {
    this.#deps = deps;
    this.#work = work;
    this.#metrics = metrics;
  }

  /** Whether something of a namespace waits for its last attempt, or that is under way. */
  isOwed(namespace: string): boolean {
    return this.#outstanding.has(namespace);
  }

  /** Takes over a Delivery that was deleted. `underWay`: there is an attempt at it. */
  take(delivery: Delivery, underWay: boolean): void {
    if (this.#stopping.signal.aborted || !needsDispatch(delivery)) return;
    const departed = { delivery, underWay, since: this.#deps.clock.monotonic() };
    if (this.#kept >= maxKept) {
      this.#count(departed, 'unsent', 'more went at once than are kept');
      return;
    }
    this.#kept += 1;
    const { namespace } = delivery.metadata;
    this.#outstanding.set(namespace, (this.#outstanding.get(namespace) ?? 0) + 1);
    const others = this.#unexplained.get(namespace);
    if (others !== undefined) {
      others.push(departed);
      return;
    }
    this.#unexplained.set(namespace, [departed]);
    this.#begin(this.#explain(namespace));
  }

  /** Begins no other; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#underWay);
  }

  #begin(work: Promise<void>): void {
    const one = work.finally(() => this.#underWay.delete(one));
    this.#underWay.add(one);
  }

  /** Finds out why the Deliveries of a namespace were deleted, until there are no more. */
  async #explain(namespace: string): Promise<void> {
    for (;;) {
      const departed = this.#unexplained.get(namespace)?.splice(0) ?? [];
      const [first] = departed;
      if (first === undefined || this.#stopping.signal.aborted) break;
      const fate = await this.#fateOf(first.delivery);
      const unknown = departed.filter((one) => !this.#decide(one, fate));
      if (unknown.length === 0) continue;
      this.#unexplained.get(namespace)?.unshift(...unknown);
      await sleep(askAgainMs, this.#stopping.signal, this.#deps.clock).catch(() => {});
    }
    this.#unexplained.delete(namespace);
  }

  /**
   * What becomes of a namespace: one that goes takes nothing, and says so. This needs no right that Telos has not
   * anyhow, and nothing is stored.
   */
  async #fateOf({ metadata, spec }: Delivery): Promise<Departure['namespace']> {
    const { name, namespace } = metadata;
    try {
      await this.#deps.store.create<'Delivery'>(
        { apiVersion: apiVersionOf('Delivery'), kind: 'Delivery', metadata: { name, namespace }, spec },
        { dryRun: true, signal: this.#stopping.signal },
      );
      return 'stays';
    } catch (thrown) {
      if (isStoreError(thrown, 'NotFound')) return 'goes';
      if (isStoreError(thrown, 'AlreadyExists') || isStoreError(thrown, 'Invalid')) return 'stays';
      const error = toError(thrown).message;
      this.#deps.log.debug('whether a namespace goes is not known', { namespace, error });
      return 'unknown';
    }
  }

  /** Whether it could be decided. */
  #decide(departed: Departed, namespace: Departure['namespace']): boolean {
    const { underWay, since, delivery } = departed;
    const step = decideDeparture({ namespace, underWay, sinceMs: this.#deps.clock.monotonic() - since });
    if (step.do === 'ask') return false;
    if (step.do === 'attempt') {
      if (urlSecretOf(delivery) === undefined) this.#enqueue(departed, laneOf(delivery));
      else this.#begin(this.#enqueueByOrigin(departed));
      return true;
    }
    this.#kept -= 1;
    this.#settle(delivery);
    if (step.do === 'count') this.#count(departed, step.outcome);
    else this.#deps.log.info('a Delivery that somebody deleted is not sent', fieldsOf(delivery));
    return true;
  }

  /** Several Secrets may lead to one origin, which has its places all the same. */
  async #enqueueByOrigin(departed: Departed): Promise<void> {
    const { delivery } = departed;
    let lane: string | undefined;
    try {
      const step = await this.#work.step(delivery);
      if (step.do === 'send') lane = await this.#work.laneOf(delivery, step.hook);
    } catch {
      // Its Secret could not be read: the attempt will say so.
    }
    this.#enqueue(departed, lane ?? laneOf(delivery));
  }

  #enqueue(departed: Departed, lane: string): void {
    const text = keyText(departed.delivery.metadata);
    this.#queued.set(text, departed);
    this.#queue.add(lane, text);
    this.#pump();
  }

  #pump(): void {
    while (!this.#stopping.signal.aborted) {
      const next = this.#queue.take();
      if (next === undefined) return;
      const departed = this.#queued.get(next.key);
      this.#queued.delete(next.key);
      this.#kept -= 1;
      this.#begin(
        (departed === undefined ? Promise.resolve() : this.#attempt(departed)).finally(() => {
          if (departed !== undefined) this.#settle(departed.delivery);
          this.#queue.done(next.lane);
          this.#pump();
        }),
      );
    }
  }

  async #attempt(departed: Departed): Promise<void> {
    const { delivery, underWay, since } = departed;
    const sinceMs = this.#deps.clock.monotonic() - since;
    const late = decideDeparture({ namespace: 'goes', underWay, sinceMs });
    if (late.do === 'count') {
      this.#count(departed, late.outcome);
      return;
    }
    try {
      const step = await this.#work.step(delivery);
      if (step.do === 'settle') {
        this.#count(departed, step.phase === 'Skipped' ? 'skipped' : 'failed', step.message);
        return;
      }
      const { verdict, origin } = await this.#work.attempt(delivery, step.hook);
      this.#count(departed, verdict.kind === 'delivered' ? 'delivered' : 'failed', verdict.message, origin);
    } catch (thrown) {
      // Its Secrets could not be read: nothing was sent.
      this.#count(departed, 'failed', toError(thrown).message);
    }
  }

  #settle({ metadata: { namespace } }: Delivery): void {
    const left = (this.#outstanding.get(namespace) ?? 0) - 1;
    if (left > 0) this.#outstanding.set(namespace, left);
    else this.#outstanding.delete(namespace);
  }

  /** The record is gone: this is all that is left to know of it. */
  #count({ delivery }: Departed, outcome: LastOutcome, message?: string, origin?: string): void {
    this.#metrics.goneWithNamespace.inc({ outcome });
    const level = outcome === 'failed' || outcome === 'unsent' ? 'warn' : 'info';
    this.#deps.log[level]('a Delivery went with its namespace', {
      ...fieldsOf(delivery, origin),
      lastAttempt: outcome,
      ...(message === undefined ? {} : { message }),
    });
  }
}
