import type { Clock } from '../base/clock.ts';
import { DelayHeap } from '../base/delay-heap.ts';
import type { Breaker } from './breaker.ts';
import { FairQueue } from './fair-queue.ts';
import { Origins } from './origins.ts';
import type { Health } from './verdict.ts';

/** How many attempts may be under way. */
export interface InFlightLimits {
  readonly total: number;
  readonly perOrigin: number;
}

/** What may be under way unless somebody says otherwise. */
export const defaultInFlight: InFlightLimits = { total: 256, perOrigin: 16 };

/** The part kept for origins with nothing under way: a few origins that hang take up all the others. */
const reservedPart = 1 / 4;

/** How many may be judged at once. Nothing of that takes long, but what is read and written is the store's. */
const maxJudging = 32;

/** How often wall time is compared with the monotonic clock: a machine that slept, a clock that was set. */
const clockCheckMs = 60_000;
const clockJumpMs = 1_000;

/** Where a key waits once it is due: in a lane, or to be judged first, which says in which. */
export interface Place {
  readonly lane: string;
  readonly isUnjudged: boolean;
}

/** A key that waits for its time. */
interface Waiting {
  readonly place: Place;
  /** Epoch milliseconds, as the store has it. */
  readonly dueAt: number;
  /** The same by the monotonic clock. A heap entry with another one is stale. */
  readonly due: number;
}

/**
 * Which Delivery comes next: first its time, then its origin's turn.
 *
 * A1. Due times are wall time in the store and monotonic here. A clock that is set back puts nothing off;
 *     what fell due while the machine slept is due when it wakes.
 * A2. Lanes take turns, within the limits on all and on each; a lane whose origin is sick or paused is closed.
 * A3. One timer for all that waits.
 * A4. What has to be judged first waits for no lane.
 */
export class Agenda {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #queue: FairQueue;
  readonly #unjudged = new Set<string>();
  #judging = 0;
  readonly #waiting = new Map<string, Waiting>();
  readonly #delayed = new DelayHeap<string>();
  readonly #origins = new Origins();
  /** When closed lanes are to be looked at again, in origin time. An entry that `#gateAt` does not have is stale. */
  readonly #gates = new DelayHeap<string>();
  readonly #gateAt = new Map<string, number>();
  #timer: { readonly due: number; readonly cancel: () => void } | undefined;
  #clockOffset: number;
  /** Time that passed by the wall and not by the monotonic clock: the machine slept, and receivers did not. */
  #sleptMs = 0;

  /** `onDue` is called when `take` may have something new to give, from a timer only. */
  constructor(clock: Clock, onDue: () => void, { total, perOrigin }: InFlightLimits = defaultInFlight) {
    this.#clock = clock;
    this.#queue = new FairQueue({ total, perLane: perOrigin, reserved: Math.floor(total * reservedPart) });
    this.#onDue = onDue;
    this.#clockOffset = clock.now() - clock.monotonic();
  }

  /** Keys that were taken and are not done. */
  get underWay(): number {
    return this.#queue.underWay;
  }

  /** Makes a key wait until `dueAt` (epoch milliseconds), or for its turn; of two times the earlier counts. */
  put(key: string, place: Place, dueAt: number): void {
    // Due already once: a wall clock that was set back takes no turn away, nor gives a second one.
    if (this.#unjudged.has(key) || this.#queue.has(place.lane, key)) return;
    const delayMs = dueAt - this.#clock.now();
    if (delayMs > 0) {
      this.#delay(key, place, dueAt, delayMs);
      return;
    }
    this.#waiting.delete(key);
    this.#enqueue(key, place);
  }

  /** Forgets a key that waits. */
  drop(key: string, lane: string): void {
    this.#waiting.delete(key);
    this.#unjudged.delete(key);
    this.#queue.remove(lane, key);
  }

  /** The key that is to be judged next, which then is being judged until `judged`. */
  takeUnjudged(): string | undefined {
    if (this.#judging >= maxJudging) return undefined;
    for (const key of this.#unjudged) {
      this.#unjudged.delete(key);
      this.#judging += 1;
      return key;
    }
    return undefined;
  }

  judged(): void {
    this.#judging -= 1;
  }

  /** Whether a key that is put into this lane would be taken at once, if all that may be taken is. */
  hasRoom(lane: string): boolean {
    return this.#queue.hasRoom(lane);
  }

  /** The key whose turn it is, which is then under way until `done`. */
  take(): { readonly lane: string; readonly key: string } | undefined {
    return this.#queue.take();
  }

  done(lane: string): void {
    this.#queue.done(lane);
  }

  /** Takes note of how an origin behaved, and closes or opens its lane. */
  observe(
    lane: string,
    attempt: { readonly health: Health; readonly pauseMs: number },
  ): { readonly before: Breaker['state']; readonly after: Breaker['state'] } {
    const now = this.#originTime();
    const change = this.#origins.observe(lane, attempt, now);
    this.#regate(lane, now);
    for (const old of this.#origins.forgetOld(now)) this.#regate(old, now);
    return change;
  }

  /** What is kept of origins and their gates: no more than is sick or paused, or was lately. */
  get kept(): number {
    return this.#origins.size + this.#gates.size;
  }

  /** Origins that are left alone, or only probed. */
  get sickOrigins(): number {
    return this.#origins.sick;
  }

  /** Keys that are due and wait for their turn, or for their origin. */
  get waiting(): number {
    return this.#queue.waiting + this.#unjudged.size;
  }

  /** Sets the timer for whatever comes first (A3). To be called after changes, and once to begin. */
  arm(): void {
    const gate = (this.#gates.nextDue ?? Infinity) - this.#sleptMs;
    const next = Math.min(this.#delayed.nextDue ?? Infinity, gate);
    if (next === Infinity || (this.#timer !== undefined && this.#timer.due <= next)) return;
    this.#timer?.cancel();
    const now = this.#clock.monotonic();
    const due = Math.min(next, now + clockCheckMs);
    this.#timer = { due, cancel: this.#clock.after(Math.max(0, due - now), () => this.#ring()) };
  }

  /** Cancels the timer. */
  disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #ring(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    this.#checkClock(now);
    const originNow = this.#originTime();
    this.#openGates(originNow);
    for (let due = this.#delayed.nextDue; due !== undefined && due <= now; due = this.#delayed.nextDue) {
      const key = this.#delayed.popDue(now);
      const waiting = key === undefined ? undefined : this.#waiting.get(key);
      if (key === undefined || waiting?.due !== due) continue;
      this.#waiting.delete(key);
      this.#enqueue(key, waiting.place);
    }
    this.#onDue();
    this.arm();
  }

  #enqueue(key: string, { lane, isUnjudged }: Place): void {
    if (isUnjudged) this.#unjudged.add(key);
    else this.#queue.add(lane, key);
  }

  #delay(key: string, place: Place, dueAt: number, delayMs: number): void {
    const due = this.#clock.monotonic() + delayMs;
    const before = this.#waiting.get(key);
    if (before !== undefined && before.due <= due) return;
    this.#waiting.set(key, { place, dueAt, due });
    this.#delayed.push(due, key);
  }

  /** Judges due times anew when wall time jumped: they may come sooner, never later (A1). */
  #checkClock(now: number): void {
    const offset = this.#clock.now() - now;
    const jumpMs = offset - this.#clockOffset;
    if (Math.abs(jumpMs) < clockJumpMs) return;
    this.#clockOffset = offset;
    this.#sleptMs += Math.max(0, jumpMs);
    for (const [key, { place, dueAt }] of this.#waiting)
      this.#delay(key, place, dueAt, Math.max(0, dueAt - this.#clock.now()));
  }

  /** Milliseconds as receivers see them pass. */
  #originTime(): number {
    return this.#clock.monotonic() + this.#sleptMs;
  }

  #regate(lane: string, now: number): void {
    const gate = this.#origins.gate(lane, now);
    this.#queue.setLimit(lane, gate.limit);
    if (gate.opensAt === undefined) {
      this.#gateAt.delete(lane);
    } else if (this.#gateAt.get(lane) !== gate.opensAt) {
      this.#gateAt.set(lane, gate.opensAt);
      this.#gates.push(gate.opensAt, lane);
    }
  }

  #openGates(now: number): void {
    for (let due = this.#gates.nextDue; due !== undefined && due <= now; due = this.#gates.nextDue) {
      const lane = this.#gates.popDue(now);
      if (lane === undefined || this.#gateAt.get(lane) !== due) continue;
      this.#gateAt.delete(lane);
      this.#regate(lane, now);
    }
  }
}
