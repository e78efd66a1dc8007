import { setMaxListeners } from 'node:events';
import type { Delivery, DeliveryReason } from '../api/delivery.ts';
import type { Hook } from '../api/hook.ts';
import { toError } from '../base/errors.ts';
import { isStoreError, retryLogLevel } from '../store/errors.ts';
import type { RoomDeps } from '../store/room.ts';
import { keyText, parseKeyText } from '../store/store.ts';
import type { View, ViewChange } from '../store/view.ts';
import { Agenda } from './agenda.ts';
import { type AttemptDeps, type AttemptResult, makeAttempt } from './attempt.ts';
import {
  attemptedStatus,
  type DeliveryStep,
  decideStep,
  dueAt,
  needsDispatch,
  type StatusPatch,
  settledStatus,
} from './decide-delivery.ts';
import { Filters } from './filters.ts';
import type { FirstSight } from './first-sight.ts';
import { GoneUrls } from './gone-urls.ts';
import { Lanes, laneOf } from './lane.ts';
import { LastAttempts } from './last-attempts.ts';
import type { ReportMetrics } from './metrics.ts';
import type { RequestSettings } from './request.ts';
import { firstStepMs } from './schedule.ts';
import { writeStatus } from './status-writer.ts';

/** What is kept of a Delivery that is not settled. */
interface Unsettled {
  readonly lane: string;
  /** Epoch milliseconds; 0 is at once. */
  readonly dueAt: number;
  readonly version: number;
}

/** Reasons that stay until somebody changes a Secret. */
const mendedByPeople: ReadonlySet<DeliveryReason> = new Set([
  'SecretNotFound',
  'SecretNotAllowed',
  'InvalidHeader',
]);

/** So many whole Deliveries are kept for an attempt that is due now; others are read when their turn comes. */
const maxWarm = 1024;

/** How long a Delivery that cannot be read is left alone. */
const readAgainMs = 1_000;

/** How long statuses are still tried to be written once the room is told to stop. */
const lastWritesMs = 5_000;

/**
 * Makes the attempts that are due.
 *
 * D1. One attempt at a Delivery at a time, and none before the one before is written.
 * D2. What is sent is what the store holds; what came of it is one write of the status.
 * D3. When, and in whose turn, is the agenda's business: one origin makes no other wait.
 * D4. What its namespace takes along has one last attempt (`LastAttempts`), which is never beside one of these.
 */
export class Dispatcher {
  readonly #deps: RoomDeps;
  readonly #settings: RequestSettings;
  readonly #attempts: AttemptDeps;
  readonly #metrics: ReportMetrics;
  readonly #firstSight: FirstSight;
  readonly #view: View<Unsettled>;
  readonly #gone: GoneUrls;
  readonly #filters = new Filters();
  readonly #lanes = new Lanes();
  readonly #agenda: Agenda;
  readonly #underWay = new Set<string>();
  /** Those of them that are being sent. */
  readonly #sending = new Set<string>();
  readonly #lastAttempts: LastAttempts;
  readonly #warm = new Map<string, Delivery>();
  /** The newest version written or read here, until the view has it: what is older than that is past. */
  readonly #known = new Map<string, number>();
  #running = false;
  readonly #lastWrites = new AbortController();
  #idle: (() => void) | undefined;

  constructor(
    deps: RoomDeps,
    settings: RequestSettings,
    attempts: AttemptDeps,
    metrics: ReportMetrics,
    firstSight: FirstSight,
  ) {
    this.#deps = deps;
    // Every status that waits to be written listens to it.
    setMaxListeners(0, this.#lastWrites.signal);
    deps.tenure?.signal.addEventListener('abort', () => this.#lastWrites.abort(), { once: true });
    this.#settings = settings;
    this.#attempts = attempts;
    this.#metrics = metrics;
    this.#firstSight = firstSight;
    this.#agenda = new Agenda(deps.clock, () => this.#pump());
    this.#gone = new GoneUrls(deps.informers, deps.clock, attempts.secrets);
    const work = {
      step: (delivery: Delivery) => this.#decide(delivery),
      attempt: (delivery: Delivery, hook: Hook) => this.#attempt(delivery, hook),
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
    if (!needsDispatch(delivery)) {
      this.#warm.delete(text);
      return undefined;
    }
    const due = dueAt(delivery, this.#deps.clock.now());
    if (due <= this.#deps.clock.now() && this.#warm.size < maxWarm) this.#warm.set(text, delivery);
    else this.#warm.delete(text);
    return { lane: this.#lanes.of(delivery), dueAt: due, version: Number(delivery.metadata.resourceVersion) };
  }

  #onChange({ text, before, now }: ViewChange<Unsettled>): void {
    if (now !== undefined) {
      this.#schedule(text, now);
      this.#pump();
      return;
    }
    this.#warm.delete(text);
    this.#known.delete(text);
    if (before !== undefined) this.#agenda.drop(text, before.lane);
  }

  /** Puts a Delivery on the agenda (D1: not one that is under way, or a version that is past). */
  #schedule(text: string, entry: Unsettled): void {
    if (this.#underWay.has(text)) return;
    const known = this.#known.get(text);
    if (known !== undefined && entry.version < known) return;
    this.#known.delete(text);
    this.#agenda.put(text, entry.lane, entry.dueAt);
  }

  #pump(): void {
    if (!this.#running) return;
    for (let next = this.#agenda.take(); next !== undefined; next = this.#agenda.take()) {
      if (this.#underWay.has(next.key)) {
        this.#agenda.done(next.lane);
        continue;
      }
      this.#underWay.add(next.key);
      void this.#work(next.key, next.lane);
    }
    this.#agenda.arm();
  }

  async #work(text: string, lane: string): Promise<void> {
    let againAfterMs: number | undefined;
    try {
      againAfterMs = await this.#deliver(text, lane);
    } catch (thrown) {
      // The store could not be read; nothing was sent.
      againAfterMs = readAgainMs;
      this.#deps.log[retryLogLevel(thrown)]('a Delivery is put off', {
        delivery: text,
        error: toError(thrown).message,
      });
    }
    this.#underWay.delete(text);
    this.#agenda.done(lane);
    const entry = this.#view.get(parseKeyText(text));
    if (entry === undefined) this.#known.delete(text);
    else if (againAfterMs === undefined) this.#schedule(text, entry);
    else this.#agenda.put(text, lane, this.#deps.clock.now() + againAfterMs);
    this.#pump();
    if (this.#underWay.size === 0) this.#idle?.();
  }

  /** Does what a due Delivery needs; a number asks to come back after so many milliseconds. */
  async #deliver(text: string, lane: string): Promise<number | undefined> {
    const delivery = await this.#read(text);
    if (delivery === undefined) return readAgainMs;
    if (!needsDispatch(delivery)) return undefined;
    const now = this.#deps.clock.now();
    const step = await this.#decide(delivery);
    if (step.do === 'settle') {
      await this.#write(text, delivery, settledStatus(delivery, step, now));
      return undefined;
    }
    // Deleted since it was read: whether it is sent is no longer decided here (D4).
    if (this.#view.get(delivery.metadata) === undefined) return undefined;
    this.#sending.add(text);
    const result = await this.#attempt(delivery, step.hook).finally(() => this.#sending.delete(text));
    this.#observe(lane, result);
    const time = { nowMs: this.#deps.clock.now(), random: Math.random() };
    const status = attemptedStatus(delivery, step.hook, result.verdict, result.record, time);
    const gone = status.reason === 'Gone' ? { goneUrlVersion: result.urlVersion } : {};
    await this.#write(text, delivery, { ...status, ...gone });
    this.#sayIfStuck(delivery, status);
    return undefined;
  }

  async #decide(delivery: Delivery): Promise<DeliveryStep> {
    return decideStep(delivery, {
      filter: (expression, payload) => this.#filters.evaluate(expression, payload),
      isGone: await this.#gone.has(delivery),
    });
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
    const { metadata, spec, status } = delivery;
    const number = (status?.attemptCount ?? 0) + 1;
    const message = { id: spec.id, namespace: metadata.namespace, hook, payload: spec.payload };
    // Shutting down lets attempts end: their own timeout bounds them. Not so where another takes over.
    const signal = this.#deps.tenure?.signal ?? new AbortController().signal;
    let beganAt = this.#deps.clock.monotonic();
    const result = await makeAttempt(message, number, this.#settings, this.#attempts, signal, () => {
      beganAt = this.#deps.clock.monotonic();
      const seconds = this.#firstSight.take(metadata.name);
      if (seconds !== undefined && number === 1) this.#metrics.phaseToPostSeconds.observe(seconds);
    });
    this.#metrics.attempts.inc({ reason: result.record.reason });
    if (result.outcome !== undefined)
      this.#metrics.attemptSeconds.observe((this.#deps.clock.monotonic() - beganAt) / 1000);
    return result;
  }

  /** Lets the origin's gate know, and closes or opens its lane. */
  #observe(lane: string, { verdict }: AttemptResult): void {
    const pauses = verdict.kind === 'retry' && verdict.pausesOrigin === true;
    const pauseMs = pauses ? Math.max(verdict.retryAfterMs ?? 0, firstStepMs) : 0;
    const { before, after } = this.#agenda.observe(lane, { health: verdict.health, pauseMs });
    if (after === 'open' && before !== 'open')
      this.#deps.log.warn('an origin fails again and again; its Deliveries wait', { origin: lane });
    if (after === 'closed' && before !== 'closed')
      this.#deps.log.info('an origin answers again', { origin: lane });
  }

  async #write(text: string, delivery: Delivery, status: StatusPatch): Promise<void> {
    const written = await writeStatus(
      delivery,
      status,
      {
        ...this.#deps,
        isFenced: this.#deps.tenure !== undefined,
        onError: () => this.#metrics.statusErrors.inc(),
      },
      this.#lastWrites.signal,
    );
    if (written === undefined) return;
    this.#known.set(text, Number(written.metadata.resourceVersion));
    this.#sayIfSettled(delivery, status);
  }

  /** Says at once what no waiting mends: 28 hours later is too late to hear of a missing Secret. */
  #sayIfStuck(
    delivery: Delivery,
    { phase, reason, message, attemptCount, nextAttemptAt }: StatusPatch,
  ): void {
    if (phase !== 'Retrying' || attemptCount !== 1 || !reason) return;
    const { task, hook } = delivery.spec;
    const { namespace, name } = delivery.metadata;
    const origin = laneOf(delivery);
    this.#deps.log.info('a first attempt failed; it will be tried again', {
      delivery: name,
      namespace,
      task: task.name,
      hook: hook.name,
      origin,
      reason,
      error: message,
      nextAttemptAt,
    });
    if (!mendedByPeople.has(reason)) return;
    this.#deps.events.record(
      { kind: 'Task', namespace, name: task.name, uid: task.uid },
      'Warning',
      'DeliveryWaits',
      `hook ${hook.name} cannot be told yet: ${reason}: ${message}`,
    );
  }

  #sayIfSettled(delivery: Delivery, { phase, reason, message }: StatusPatch): void {
    const { namespace } = delivery.metadata;
    const { task, hook } = delivery.spec;
    if (phase === 'Retrying' || phase === 'Pending') return;
    this.#firstSight.take(delivery.metadata.name);
    this.#metrics.settled.inc({ phase, reason: reason ?? '' });
    const fields = {
      delivery: delivery.metadata.name,
      namespace,
      task: task.name,
      hook: hook.name,
      origin: laneOf(delivery),
      reason,
    };
    if (phase !== 'Failed') {
      this.#deps.log.debug('a Delivery is settled', { ...fields, phase });
      return;
    }
    this.#deps.log.warn('a Delivery failed', { ...fields, error: message });
    this.#deps.events.record(
      { kind: 'Task', namespace, name: task.name, uid: task.uid },
      'Warning',
      'DeliveryFailed',
      `hook ${hook.name} was not told: ${reason}: ${message}`,
    );
  }
}
