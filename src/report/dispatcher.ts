import { setMaxListeners } from 'node:events';
import type { Delivery } from '../api/delivery.ts';
import type { Hook } from '../api/hook.ts';
import { toError } from '../base/errors.ts';
import type { EgressGuard } from '../egress/guard.ts';
import { isRefusedByStore, isStoreError } from '../store/errors.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyText, parseKeyText } from '../store/store.ts';
import type { View, ViewChange } from '../store/view.ts';
import { Agenda, type InFlightLimits } from './agenda.ts';
import { type AttemptDeps, type AttemptResult, canBeSent, makeAttempt } from './attempt.ts';
import {
  attemptedStatus,
  type DeliveryStep,
  decideStep,
  dueAt,
  mayNeedNoMessage,
  needsDispatch,
  pauseLeft,
  type StatusPatch,
  settledStatus,
} from './decide-delivery.ts';
import { sayDeliveryNews, sayDeliveryWaits } from './delivery-news.ts';
import { Filters } from './filters.ts';
import type { FirstSight } from './first-sight.ts';
import { GoneUrls } from './gone-urls.ts';
import { Lanes, laneOf, urlOf } from './lane.ts';
import { LastAttempts } from './last-attempts.ts';
import type { ReportMetrics } from './metrics.ts';
import { type Message, originOf, type RequestSettings } from './request.ts';
import { writeStatus } from './status-writer.ts';
import { pauseMsOf } from './verdict.ts';

/** What the dispatcher needs besides what attempts do. */
export interface DispatcherDeps extends AttemptDeps {
  readonly guard: Pick<EgressGuard, 'send' | 'refuses'>;
}

/** How the dispatcher works, as an operator may say. */
export interface DispatcherSettings extends RequestSettings {
  /** How many attempts may be under way. Default: 256, 16 of them at one origin. */
  readonly maxInFlight?: InFlightLimits | undefined;
  /** Milliseconds from one attempt to the next, the last repeats. Default: 10 attempts in about 28 hours. */
  readonly retryStepsMs?: readonly number[] | undefined;
}

/** What is kept of a Delivery that is not settled. */
interface Unsettled {
  readonly lane: string;
  /** Whether it is to be looked at before it waits for its turn: it may need none, or its lane is not known yet. */
  readonly isUnjudged: boolean;
  /** Epoch milliseconds; 0 is at once. */
  readonly dueAt: number;
  readonly version: number;
}

/** A Delivery that is to be sent as it was read. */
interface Ready {
  readonly do: 'send';
  readonly delivery: Delivery;
  readonly hook: Hook;
}

/** What came of work at a due Delivery: it is done for now, is to be looked at again, or has to wait for its lane. */
type Outcome =
  | { readonly do: 'nothing' }
  | { readonly do: 'again'; readonly afterMs: number }
  | { readonly do: 'queue'; readonly lane: string; readonly ready: Ready };

const nothing: Outcome & { readonly do: 'nothing' } = { do: 'nothing' };

/** So many whole Deliveries are kept for an attempt that is due now; others are read when their turn comes. */
const maxWarm = 1024;

/** How long a Delivery that cannot be read, or its Secret, is left alone: twice as long each time. */
const readAgainMs = 1_000;
const longestReadAgainMs = 10_000;
/** After so many times in a row, some seconds, people are told. */
const tellAfter = 4;
/** How long a Delivery waits in a namespace where no status may be written. */
const unwritableAgainMs = 2_000;

/** How long statuses are still tried to be written once the room is told to stop. */
const lastWritesMs = 5_000;

/**
 * Makes the attempts that are due.
 *
 * D1. One attempt at a Delivery at a time, and none before the one before is written.
 * D2. What is sent is what the store holds; what came of it is one write of the status.
 * D3. When, and in whose turn, is the agenda's business: one origin makes no other wait.
 * D4. What its namespace takes along has one last attempt (`LastAttempts`), which is never beside one of these.
 * D5. The lane of a message is the origin that its URL leads to, wherever that URL stands; what nothing need be sent
 *     for waits in none.
 * D6. A namespace where no status may be written takes no place from others, and nothing more is sent there until it
 *     may be.
 */
export class Dispatcher {
  readonly #deps: RoomDeps;
  readonly #settings: DispatcherSettings;
  readonly #attempts: DispatcherDeps;
  readonly #metrics: ReportMetrics;
  readonly #firstSight: FirstSight;
  readonly #view: View<Unsettled>;
  readonly #gone: GoneUrls;
  readonly #filters = new Filters();
  readonly #lanes: Lanes;
  readonly #agenda: Agenda;
  readonly #underWay = new Set<string>();
  /** The lanes of those that have a place on the agenda; undefined: one among those that are judged. */
  readonly #places = new Map<string, string | undefined>();
  /** Namespaces with statuses that may not be written, and how many of them wait. */
  readonly #unwritable = new Map<string, number>();
  /** How often in a row those were put off that could not be read. */
  readonly #putOffs = new Map<string, number>();
  /** The lanes of those that were judged and wait there, or are at work in them. */
  readonly #judged = new Map<string, string>();
  /** What was judged just now, if its turn comes at once. */
  #ready: Ready | undefined;
  /** Those of them that are being sent. */
  readonly #sending = new Set<string>();
  readonly #lastAttempts: LastAttempts;
  readonly #warm = new Map<string, Delivery>();
  /** The newest version written or read here, until the view has it: what is older than that is past. */
  readonly #known = new Map<string, number>();
  #running = false;
  readonly #lastWrites = new AbortController();
  /** One for all attempts: making a signal costs more than building a request. */
  readonly #never = new AbortController().signal;
  #idle: (() => void) | undefined;

  constructor(
    deps: RoomDeps,
    settings: DispatcherSettings,
    attempts: DispatcherDeps,
    metrics: ReportMetrics,
    firstSight: FirstSight,
  ) {
    this.#deps = deps;
    // Every status that waits to be written, and every attempt, listens to one of them.
    setMaxListeners(0, this.#lastWrites.signal, this.#never);
    deps.tenure?.signal.addEventListener('abort', () => this.#lastWrites.abort(), { once: true });
    this.#settings = settings;
    this.#attempts = attempts;
    this.#lanes = new Lanes((url) => attempts.guard.refuses(url));
    this.#metrics = metrics;
    this.#firstSight = firstSight;
    this.#agenda = new Agenda(deps.clock, () => this.#pump(), settings.maxInFlight);
    this.#gone = new GoneUrls(deps.informers, deps.clock, attempts.secrets);
    const work = {
      step: (delivery: Delivery) => this.#decide(delivery),
      attempt: (delivery: Delivery, hook: Hook) => this.#attempt(delivery, hook),
      laneOf: (delivery: Delivery, hook: Hook) => this.#laneOf(delivery, hook),
    };
    this.#lastAttempts = new LastAttempts(deps, work, metrics);
    this.#view = deps.informers.of('Delivery').view({
      select: (delivery) => this.#select(delivery),
      onDelete: (delivery) =>
        this.#lastAttempts.take(delivery, this.#sending.has(keyText(delivery.metadata))),
      onChange: (change) => this.#onChange(change),
    });
  }

  /** Deliveries that are not settled. */
  get pending(): number {
    return this.#view.size;
  }

  /** Deliveries that are due and wait for their turn, or for their origin. */
  get waiting(): number {
    return this.#agenda.waiting;
  }

  /** Origins that are left alone because they fail again and again, or only probed. */
  get sickOrigins(): number {
    return this.#agenda.sickOrigins;
  }

  get underWay(): number {
    return this.#agenda.underWay;
  }

  /** Whether something of a namespace is to be told, perhaps for the last time. Looks at all that is pending. */
  owesAttempts(namespace: string): boolean {
    if (this.#lastAttempts.isOwed(namespace)) return true;
    for (const key of this.#view.keys()) if (parseKeyText(key).namespace === namespace) return true;
    return false;
  }

  /** Works until the signal aborts; then lets attempts under way end and writes what came of them. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, informers } = this.#deps;
    const giveUp = (): (() => void) => clock.after(lastWritesMs, () => this.#lastWrites.abort());
    const stopping = new Promise<() => void>((resolve) => {
      signal.addEventListener('abort', () => resolve(giveUp()), { once: true });
    });
    try {
      await informers.of('Delivery').synced(signal);
    } catch {
      return;
    }
    this.#running = true;
    this.#pump();
    const cancelGiveUp = await stopping;
    this.#running = false;
    this.#agenda.disarm();
    await this.#lastAttempts.stop();
    if (this.#underWay.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    cancelGiveUp();
  }

  #select(delivery: Delivery): Unsettled | undefined {
    const text = keyText(delivery.metadata);
    if (!this.#running) this.#restorePause(delivery);
    if (!needsDispatch(delivery)) {
      this.#warm.delete(text);
      return undefined;
    }
    const due = dueAt(delivery, this.#deps.clock.now());
    if (due <= this.#deps.clock.now() && this.#warm.size < maxWarm) this.#warm.set(text, delivery);
    else this.#warm.delete(text);
    const { lane, isOrigin } = this.#lanes.of(delivery);
    const isUnjudged = !isOrigin || mayNeedNoMessage(delivery);
    return { lane, isUnjudged, dueAt: due, version: Number(delivery.metadata.resourceVersion) };
  }

  /** Leaves an origin alone as it asked for before the engine was started. */
  #restorePause(delivery: Delivery): void {
    const pause = pauseLeft(delivery, this.#deps.clock.now());
    if (pause !== undefined)
      this.#agenda.observe(pause.origin, { health: 'unknown', pauseMs: pause.pauseMs });
  }

  #onChange({ text, before, now }: ViewChange<Unsettled>): void {
    if (now !== undefined) {
      this.#schedule(text, now);
      this.#pump();
      return;
    }
    this.#warm.delete(text);
    this.#known.delete(text);
    this.#putOffs.delete(text);
    this.#firstSight.take(parseKeyText(text).name);
    if (before !== undefined) this.#agenda.drop(text, this.#judged.get(text) ?? before.lane);
    if (!this.#underWay.has(text)) this.#judged.delete(text);
  }

  /** Puts a Delivery on the agenda (D1: not one that is under way, or a version that is past). */
  #schedule(text: string, entry: Unsettled): void {
    if (this.#underWay.has(text)) return;
    const known = this.#known.get(text);
    if (known !== undefined && entry.version < known) return;
    this.#known.delete(text);
    const lane = this.#judged.get(text);
    this.#agenda.put(text, lane === undefined ? entry : { lane, isUnjudged: false }, entry.dueAt);
  }

  #pump(): void {
    if (!this.#running) return;
    for (let key = this.#agenda.takeUnjudged(); key !== undefined; key = this.#agenda.takeUnjudged()) {
      if (this.#underWay.has(key)) this.#agenda.judged();
      else void this.#work(key, undefined);
    }
    for (let next = this.#agenda.take(); next !== undefined; next = this.#agenda.take()) {
      if (this.#underWay.has(next.key)) {
        this.#agenda.done(next.lane);
        continue;
      }
      void this.#work(next.key, next.lane);
    }
    this.#agenda.arm();
  }

  /** Works at what is due: whose turn it is in its lane, or, without one, what is to be judged. */
  async #work(text: string, lane: string | undefined): Promise<void> {
    this.#underWay.add(text);
    this.#places.set(text, lane);
    let outcome: Outcome;
    try {
      if (this.#isUnwritable(text)) outcome = { do: 'again', afterMs: unwritableAgainMs };
      else outcome = lane === undefined ? await this.#judge(text) : await this.#deliver(text, lane);
      this.#putOffs.delete(text);
    } catch (thrown) {
      outcome = this.#putOff(text, thrown);
    }
    this.#underWay.delete(text);
    this.#judged.delete(text);
    this.#leavePlace(text);
    this.#goOn(text, outcome);
    this.#pump();
    this.#keepWarm(text);
    if (this.#underWay.size === 0) this.#idle?.();
  }

  /** Gives the place on the agenda to another. */
  #leavePlace(text: string): void {
    if (!this.#places.has(text)) return;
    const lane = this.#places.get(text);
    this.#places.delete(text);
    if (lane === undefined) this.#agenda.judged();
    else this.#agenda.done(lane);
  }

  /** Something could not be read, or the right to send ended: nothing that was answered is lost. */
  #putOff(text: string, thrown: unknown): Outcome {
    const times = (this.#putOffs.get(text) ?? 0) + 1;
    this.#putOffs.set(text, times);
    const error = toError(thrown).message;
    const isRefused = isRefusedByStore(thrown);
    const isNews = times === (isRefused ? 1 : tellAfter);
    this.#deps.log[isNews ? 'warn' : 'debug']('a Delivery is put off', { delivery: text, error });
    if (isNews) void this.#sayWaits(text, error);
    return { do: 'again', afterMs: Math.min(readAgainMs * 2 ** (times - 1), longestReadAgainMs) };
  }

  /** Says by an Event that somebody has to see to it. */
  async #sayWaits(text: string, why: string): Promise<void> {
    const delivery = await this.#deps.store.get('Delivery', parseKeyText(text)).catch(() => undefined);
    if (delivery !== undefined) sayDeliveryWaits(delivery, why, this.#deps);
  }

  #isUnwritable(text: string): boolean {
    return this.#unwritable.size > 0 && this.#unwritable.has(parseKeyText(text).namespace);
  }

  /** Takes note of a status that may not be written (D6); returns what to call when that is over. */
  #waitToWrite(text: string): () => void {
    const { namespace } = parseKeyText(text);
    this.#unwritable.set(namespace, (this.#unwritable.get(namespace) ?? 0) + 1);
    this.#leavePlace(text);
    this.#pump();
    return () => {
      const left = (this.#unwritable.get(namespace) ?? 0) - 1;
      if (left > 0) this.#unwritable.set(namespace, left);
      else this.#unwritable.delete(namespace);
    };
  }

  /** Puts on the agenda what is to follow. */
  #goOn(text: string, outcome: Outcome): void {
    const entry = this.#view.get(parseKeyText(text));
    if (entry === undefined) {
      this.#known.delete(text);
      return;
    }
    const version = outcome.do === 'queue' ? Number(outcome.ready.delivery.metadata.resourceVersion) : 0;
    if (outcome.do === 'again') {
      this.#agenda.put(text, entry, this.#deps.clock.now() + outcome.afterMs);
    } else if (outcome.do === 'nothing' || entry.version > version) {
      this.#schedule(text, entry);
    } else {
      this.#judged.set(text, outcome.lane);
      this.#ready = outcome.ready;
      this.#agenda.put(text, { lane: outcome.lane, isUnjudged: false }, 0);
    }
  }

  /** What was judged and has to wait after all need not be read again, if it waits with few others. */
  #keepWarm(text: string): void {
    if (this.#ready === undefined) return;
    if (this.#warm.size < maxWarm) this.#warm.set(text, this.#ready.delivery);
    this.#ready = undefined;
  }

  /** Reaches the verdict if it needs no network; else finds the lane to wait in (D5). */
  async #judge(text: string): Promise<Outcome> {
    const decided = await this.#consider(text);
    if (decided.do !== 'send') return decided;
    const { delivery, hook } = decided;
    const lane = await this.#laneOf(delivery, hook);
    if (lane !== undefined) {
      const queue: Outcome = { do: 'queue', lane, ready: decided };
      // Of what may be wrong with the hook itself, only a template takes work to find out.
      if (hook.webhook.template === undefined || this.#agenda.hasRoom(lane)) return queue;
      if (await canBeSent(messageOf(delivery, hook), nextNumber(delivery), this.#settings, this.#attempts))
        return queue;
    }
    await this.#send(text, lane ?? laneOf(delivery), decided);
    return nothing;
  }

  /** Makes the attempt of a due Delivery whose turn it is. */
  async #deliver(text: string, lane: string): Promise<Outcome> {
    const judged = this.#ready;
    if (judged !== undefined && keyText(judged.delivery.metadata) === text) {
      this.#ready = undefined;
      await this.#send(text, lane, judged);
      return nothing;
    }
    const decided = await this.#consider(text);
    if (decided.do !== 'send') return decided;
    // A Secret may have changed while it waited.
    const nowLane = this.#judged.has(text) ? await this.#laneOf(decided.delivery, decided.hook) : lane;
    if (nowLane !== undefined && nowLane !== lane) return { do: 'queue', lane: nowLane, ready: decided };
    await this.#send(text, lane, decided);
    return nothing;
  }

  /** Reads a due Delivery and decides; what is to be settled is settled. */
  async #consider(text: string): Promise<Ready | (Outcome & { readonly do: 'nothing' | 'again' })> {
    const delivery = await this.#read(text);
    if (delivery === undefined) return { do: 'again', afterMs: readAgainMs };
    if (!needsDispatch(delivery)) return nothing;
    const waitMs = this.#waitMs(text, delivery);
    if (waitMs > 0) return { do: 'again', afterMs: waitMs };
    const step = await this.#decide(delivery);
    if (step.do === 'send') return { do: 'send', delivery, hook: step.hook };
    await this.#write(text, delivery, settledStatus(delivery, step, this.#deps.clock.now()), undefined);
    return nothing;
  }

  /** What is left to wait for, when it was read and is newer than what the agenda knows. */
  #waitMs(text: string, delivery: Delivery): number {
    const isNewer =
      Number(delivery.metadata.resourceVersion) > (this.#view.get(parseKeyText(text))?.version ?? 0);
    const nowMs = this.#deps.clock.now();
    return isNewer ? dueAt(delivery, nowMs) - nowMs : 0;
  }

  async #decide(delivery: Delivery): Promise<DeliveryStep> {
    const isPassed = this.#judged.has(keyText(delivery.metadata));
    return decideStep(delivery, {
      // It was true when it was judged, and neither it nor the payload ever changes.
      filter: (expression, payload) => isPassed || this.#filters.evaluate(expression, payload),
      isGone: await this.#gone.has(delivery),
    });
  }

  /** The origin that it leads to; undefined when nothing will be sent there. */
  async #laneOf(delivery: Delivery, hook: Hook): Promise<string | undefined> {
    if (urlOf(delivery) !== undefined) {
      const { lane, isOrigin } = this.#lanes.of(delivery);
      return isOrigin ? lane : undefined;
    }
    const message = { namespace: delivery.metadata.namespace, hook };
    return originOf(message, this.#settings, this.#attempts, (url) => this.#attempts.guard.refuses(url));
  }

  /** Makes an attempt and writes what came of it. */
  async #send(text: string, lane: string, { delivery, hook }: Ready): Promise<void> {
    // Deleted since it was read: whether it is sent is no longer decided here (D4).
    if (this.#view.get(delivery.metadata) === undefined) return;
    this.#sending.add(text);
    const result = await this.#attempt(delivery, hook).finally(() => this.#sending.delete(text));
    // A Secret may lead elsewhere since its lane was found.
    this.#observe(result.origin ?? lane, result);
    const stepsMs = this.#settings.retryStepsMs;
    const time = { nowMs: this.#deps.clock.now(), random: Math.random(), stepsMs };
    const status = attemptedStatus(delivery, hook, result.verdict, result.record, time);
    const gone = status.reason === 'Gone' ? { goneUrlVersion: result.urlVersion } : {};
    await this.#write(text, delivery, { ...status, ...gone }, result.origin);
  }

  /** The Delivery as it stands: the one the watch brought, if it is still in memory, else read. */
  async #read(text: string): Promise<Delivery | undefined> {
    const warm = this.#warm.get(text);
    this.#warm.delete(text);
    if (warm !== undefined) return warm;
    try {
      const read = await this.#deps.store.get('Delivery', parseKeyText(text));
      // What the view has may be older than this, and then is no reason to look again.
      this.#known.set(text, Number(read.metadata.resourceVersion));
      return read;
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #attempt(delivery: Delivery, hook: Hook): Promise<AttemptResult> {
    const { metadata } = delivery;
    const number = nextNumber(delivery);
    // Shutting down lets attempts end: their own timeout bounds them. Not so where another takes over.
    const signal = this.#deps.tenure?.signal ?? this.#never;
    let beganAt = this.#deps.clock.monotonic();
    const result = await makeAttempt(
      messageOf(delivery, hook),
      number,
      this.#settings,
      this.#attempts,
      signal,
      () => {
        beganAt = this.#deps.clock.monotonic();
        const seconds = this.#firstSight.take(metadata.name);
        if (seconds !== undefined && number === 1) this.#metrics.phaseToPostSeconds.observe(seconds);
      },
    );
    this.#metrics.attempts.inc({ reason: result.record.reason });
    if (result.outcome !== undefined)
      this.#metrics.attemptSeconds.observe((this.#deps.clock.monotonic() - beganAt) / 1000);
    return result;
  }

  /** Lets the origin's gate know, and closes or opens its lane. */
  #observe(lane: string, { verdict }: AttemptResult): void {
    const attempt = { health: verdict.health, pauseMs: pauseMsOf(verdict) };
    const { before, after } = this.#agenda.observe(lane, attempt);
    if (after === 'open' && before !== 'open')
      this.#deps.log.warn('an origin fails again and again; its Deliveries wait', { origin: lane });
    if (after === 'closed' && before !== 'closed')
      this.#deps.log.info('an origin answers again', { origin: lane });
  }

  async #write(
    text: string,
    delivery: Delivery,
    status: StatusPatch,
    origin: string | undefined,
  ): Promise<void> {
    let over: (() => void) | undefined;
    const onError = (thrown: unknown): void => {
      this.#metrics.statusErrors.inc();
      const isOfNamespace = isRefusedByStore(thrown) || isStoreError(thrown, 'Invalid');
      if (isOfNamespace) over ??= this.#waitToWrite(text);
    };
    const deps = { ...this.#deps, isFenced: this.#deps.tenure !== undefined, onError };
    const written = await writeStatus(delivery, status, deps, this.#lastWrites.signal);
    over?.();
    if (written === undefined) return;
    this.#known.set(text, Number(written.metadata.resourceVersion));
    if (status.phase !== 'Retrying' && status.phase !== 'Pending') {
      this.#firstSight.take(delivery.metadata.name);
      this.#metrics.settled.inc({ phase: status.phase, reason: status.reason ?? '' });
    }
    sayDeliveryNews(delivery, origin, status, this.#deps);
  }
}

function messageOf({ metadata, spec }: Delivery, hook: Hook): Message {
  return { id: spec.id, namespace: metadata.namespace, hook, payload: spec.payload };
}

/** The number of the attempt that is made next. */
function nextNumber({ status }: Delivery): number {
  return (status?.attemptCount ?? 0) + 1;
}
