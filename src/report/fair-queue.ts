export interface FairQueueOptions {
  /** How many keys may be under way at once. */
  readonly total: number;
  /** How many of one lane, unless `setLimit` says less. */
  readonly perLane: number;
  /**
   * How many of `total` only a lane takes that has nothing under way: lanes that hang, however many keys they have,
   * leave them to the others. Default: none.
   */
  readonly reserved?: number;
}

interface Lane {
  /** In order of arrival. */
  readonly waiting: Set<string>;
  underWay: number;
  limit: number;
}

/**
 * Keys that wait in lanes, one lane per origin. Lanes take turns, so that a long lane does not make a short
 * one wait, and a lane that is full or closed is passed over. Every operation takes constant time.
 */
export class FairQueue {
  readonly #options: FairQueueOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that could give a key now, the one whose turn it is first. */
  readonly #turns = new Set<string>();
  /** Those of them that have nothing under way. */
  readonly #idleTurns = new Set<string>();
  #underWay = 0;
  #waiting = 0;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  get underWay(): number {
    return this.#underWay;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Queues a key; one that waits already keeps its place. */
  add(lane: string, key: string): void {
    const { waiting } = this.#lane(lane);
    if (waiting.has(key)) return;
    waiting.add(key);
    this.#waiting += 1;
    this.#settle(lane);
  }

  /** Whether a key waits for its turn. */
  has(lane: string, key: string): boolean {
    return this.#lanes.get(lane)?.waiting.has(key) ?? false;
  }

  /** Whether a key that is added to this lane, while `take` has nothing to give, is what it gives next. */
  hasRoom(lane: string): boolean {
    const { total, perLane, reserved = 0 } = this.#options;
    const { waiting, underWay, limit } = this.#lanes.get(lane) ?? emptyLane(perLane);
    if (waiting.size > 0 || underWay >= limit) return false;
    return this.#underWay < (underWay === 0 ? total : total - reserved);
  }

  /** Takes a waiting key out. */
  remove(lane: string, key: string): void {
    if (this.#lanes.get(lane)?.waiting.delete(key) !== true) return;
    this.#waiting -= 1;
    this.#settle(lane);
  }

  /** The next key, which is then under way until `done`; undefined when none may go now. */
  take(): { readonly lane: string; readonly key: string } | undefined {
    const { total, reserved = 0 } = this.#options;
    if (this.#underWay >= total) return undefined;
    for (const lane of this.#underWay < total - reserved ? this.#turns : this.#idleTurns) {
      // Behind the others, if it has more.
      this.#turns.delete(lane);
      this.#idleTurns.delete(lane);
      const state = this.#lane(lane);
      for (const key of state.waiting) {
        state.waiting.delete(key);
        state.underWay += 1;
        this.#waiting -= 1;
        this.#underWay += 1;
        this.#settle(lane);
        return { lane, key };
      }
    }
    return undefined;
  }

  /** Ends what `take` began. */
  done(lane: string): void {
    this.#lane(lane).underWay -= 1;
    this.#underWay -= 1;
    this.#settle(lane);
  }

  /** How many of a lane may be under way from now on: 0 closes it, undefined is as many as any. */
  setLimit(lane: string, limit: number | undefined): void {
    this.#lane(lane).limit = limit ?? this.#options.perLane;
    this.#settle(lane);
  }

  #lane(name: string): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = emptyLane(this.#options.perLane);
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** Gives the lane a turn, or takes it away; forgets a lane that is as good as new. */
  #settle(name: string): void {
    const lane = this.#lane(name);
    const mayGo = lane.waiting.size > 0 && lane.underWay < lane.limit;
    if (mayGo) this.#turns.add(name);
    else this.#turns.delete(name);
    if (mayGo && lane.underWay === 0) this.#idleTurns.add(name);
    else this.#idleTurns.delete(name);
    if (lane.waiting.size === 0 && lane.underWay === 0 && lane.limit === this.#options.perLane)
      this.#lanes.delete(name);
  }
}

function emptyLane(limit: number): Lane {
  return { waiting: new Set(), underWay: 0, limit };
}
