import { setMaxListeners } from 'node:events';
import { aborted, sleep } from '../../base/abort.ts';
import { TelosError, toError } from '../../base/errors.ts';
import { isStoreError } from '../errors.ts';
import { assignShards } from './assign-shards.ts';
import { decideShard } from './decide-shard.ts';
import { LeaseHolder, type LeaseHolderOptions, within } from './lease-holder.ts';
import { ObservedLeases } from './observed-leases.ts';
import { momentOf, type Tenure } from './tenure.ts';

export interface ShardOwnerOptions extends LeaseHolderOptions {
  /** In how many shards the work is divided: the same for all replicas of an installation. */
  readonly shards: number;
  /**
   * Works on a shard. When `leave` aborts it ends what is under way and begins nothing more; when the tenure ends it
   * ends at once. Resolves when nothing is under way; a rejection ends everything.
   */
  readonly work: (shard: number, tenure: Tenure, leave: AbortSignal) => Promise<void>;
}

/** Another number of shards is in use: two replicas could work on the same namespace. */
export class ShardCountError extends TelosError {
  constructor(found: number, wanted: number) {
    super(
      'ShardCount',
      `this installation divides its work into ${found} shards, not ${wanted}: start with --shards ${found}, or stop all replicas and delete Lease ${recordName} first`,
    );
  }
}

const recordName = 'telos-shards';
/** How the Lease of a replica is called, by which the others know that it is alive; what follows is its name. */
export const memberPrefix = 'telos-member-';
/** After so many durations without a sign a member's Lease is litter. */
const litterDurations = 6;

function shardName(shard: number): string {
  return `telos-shard-${shard}`;
}

interface Held {
  readonly holder: LeaseHolder;
  readonly leave: AbortController;
  /** Resolves when nothing is under way and the Lease is let go. */
  readonly ended: Promise<void>;
}

/**
 * Shares the shards with the other replicas. Each has a Lease of its own as a member; which member should hold which
 * shard follows from who is alive.
 *
 * S1. A shard is taken only when its Lease was let go, or was seen unchanged, or missing, for its whole duration.
 * S2. Work on a shard begins with the tenure of its Lease, and nothing of it is under way when the Lease is let go.
 * S3. A shard that should be another's is drained and let go; nobody takes one that should not be his.
 */
export class ShardOwner {
  readonly #options: ShardOwnerOptions;
  readonly #observed = new ObservedLeases();
  readonly #held = new Map<number, Held>();
  readonly #memberName: string;
  readonly #failed = new AbortController();
  readonly #firstLook: Promise<void>;
  #markLooked: () => void = () => {};
  /** Monotonic milliseconds of the last look that succeeded. */
  #lookedAt: number | undefined;
  /** Monotonic milliseconds from which on this replica must show again that it lives. */
  #announceAt = -Infinity;
  #complained = false;
  #transitions = 0;

  constructor(options: ShardOwnerOptions) {
    this.#options = options;
    this.#memberName = `${memberPrefix}${options.self}`;
    this.#firstLook = new Promise((resolve) => (this.#markLooked = resolve));
  }

  /** The shards that are worked on now. */
  get held(): readonly number[] {
    return [...this.#held].filter(([, { holder }]) => holder.tenure.isHeld).map(([shard]) => shard);
  }

  /** How many shards were taken or lost so far. */
  get transitions(): number {
    return this.#transitions;
  }

  /** Whether the Leases could be read a short while ago. */
  get isWell(): boolean {
    const { clock, timing } = this.#options;
    return this.#lookedAt !== undefined && clock.monotonic() - this.#lookedAt < timing.durationMs;
  }

  /** Resolves when it has looked at all Leases once, and taken what was to be taken. */
  looked(): Promise<void> {
    return this.#firstLook;
  }

  /**
   * Holds a fair share of the shards until the signal aborts, then hands them over.
   * @throws ShardCountError, what work on a shard threw, StoreError when there is no place for Leases
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, timing } = this.#options;
    const stop = AbortSignal.any([signal, this.#failed.signal]);
    setMaxListeners(0, stop);
    try {
      while (!stop.aborted) {
        await this.#look();
        await sleep(timing.pollMs, stop, clock).catch(() => {});
      }
    } finally {
      await this.#leaveAll();
    }
    if (this.#failed.signal.aborted) throw this.#failed.signal.reason;
  }

  async #look(): Promise<void> {
    const { book, clock, timing, log } = this.#options;
    try {
      const leases = await within(timing.callMs, clock, (signal) => book.list({ signal }));
      this.#observed.observe(leases, clock.monotonic());
      await this.#agreeOnCount();
      await this.#announce();
      await this.#share();
      await this.#tidy();
      if (this.#complained) log.info('the Leases can be read and written again');
      this.#complained = false;
      this.#lookedAt = clock.monotonic();
      this.#markLooked();
    } catch (thrown) {
      // Without the namespace, or with another number of shards, no waiting helps.
      const isHopeless = thrown instanceof ShardCountError || isStoreError(thrown, 'NotFound');
      if (isHopeless && (this.#lookedAt === undefined || thrown instanceof ShardCountError)) throw thrown;
      if (!this.#complained) {
        this.#complained = true;
        log.warn('the Leases cannot be read and written; what is held runs out unless that is mended', {
          error: toError(thrown).message,
        });
      }
    }
  }

  /** @throws ShardCountError */
  async #agreeOnCount(): Promise<void> {
    const { book, clock, timing, shards } = this.#options;
    const record = this.#observed.get(recordName);
    if (record !== undefined) {
      if (record.shards !== shards) throw new ShardCountError(record.shards ?? 0, shards);
      return;
    }
    const draft = {
      name: recordName,
      holder: undefined,
      durationMs: timing.durationMs,
      transitions: 0,
      shards,
    };
    try {
      await within(timing.callMs, clock, (signal) => book.create(draft, { signal }));
    } catch (thrown) {
      if (!isStoreError(thrown, 'AlreadyExists')) throw thrown;
      const made = await within(timing.callMs, clock, (signal) => book.get(recordName, { signal }));
      if (made !== undefined && made.shards !== shards) throw new ShardCountError(made.shards ?? 0, shards);
    }
  }

  /** Shows the others that this replica lives. */
  async #announce(): Promise<void> {
    const { book, clock, timing, self } = this.#options;
    if (clock.monotonic() < this.#announceAt) return;
    const own = this.#observed.get(this.#memberName);
    const begun = clock.monotonic();
    const draft = { name: this.#memberName, holder: self, durationMs: timing.durationMs, transitions: 0 };
    try {
      await within(timing.callMs, clock, (signal) =>
        own === undefined
          ? book.create(draft, { signal })
          : book.replace({ ...draft, version: own.version }, { signal }),
      );
      this.#announceAt = begun + timing.renewMs;
    } catch (thrown) {
      // A write of our own whose answer was lost: the next look shows it.
      if (!isStoreError(thrown, 'Conflict') && !isStoreError(thrown, 'AlreadyExists')) throw thrown;
    }
  }

  /** Members that are alive, as far as this replica can tell, and itself. */
  #members(): Set<string> {
    const { clock, timing, self } = this.#options;
    const members = new Set([self]);
    for (const name of this.#observed.names()) {
      if (!name.startsWith(memberPrefix)) continue;
      const lease = this.#observed.get(name);
      const ageMs = this.#observed.unchangedMs(name, clock.monotonic());
      const isAlive = ageMs < Math.max(lease?.durationMs ?? 0, timing.durationMs);
      if (isAlive && lease?.holder !== undefined) members.add(lease.holder);
    }
    return members;
  }

  async #share(): Promise<void> {
    const { shards, self, timing, clock } = this.#options;
    const desired = assignShards(shards, this.#members());
    await Promise.all(
      desired.map(async (owner, shard) => {
        const name = shardName(shard);
        const lease = this.#observed.get(name);
        const held = this.#held.get(shard);
        const step = decideShard({
          self,
          desired: owner,
          isMine: held !== undefined,
          lease,
          unchangedMs: this.#observed.unchangedMs(name, clock.monotonic()),
          durationMs: timing.durationMs,
        });
        if (step === 'leave') held?.leave.abort();
        if (step !== 'take') return;
        const holder = await LeaseHolder.take(name, lease, this.#options);
        if (holder !== undefined) this.#begin(shard, holder, lease?.holder);
      }),
    );
  }

  #begin(shard: number, holder: LeaseHolder, before: string | undefined): void {
    const { log } = this.#options;
    const leave = new AbortController();
    this.#transitions += 1;
    log.info('this replica works on a shard from now on', { shard, before });
    const ended = this.#work(shard, holder, leave.signal).finally(() => {
      this.#held.delete(shard);
      this.#transitions += 1;
    });
    ended.catch((thrown: unknown) => this.#failed.abort(thrown));
    this.#held.set(shard, { holder, leave, ended });
  }

  async #work(shard: number, holder: LeaseHolder, leave: AbortSignal): Promise<void> {
    const { clock, timing, log } = this.#options;
    const { tenure } = holder;
    const begun = momentOf(clock).monotonic;
    let cancelDrain: () => void = () => {};
    const onLeave = (): void => {
      // Renewed meanwhile; what takes longer is sent again by the next holder, as the same message.
      cancelDrain = clock.after(timing.drainMs, () => tenure.end('it is handed over'));
    };
    if (leave.aborted) onLeave();
    else leave.addEventListener('abort', onLeave, { once: true });
    const over = (): void => {
      log.warn('this replica stops working on a shard at once', {
        shard,
        reason: toError(tenure.signal.reason).message,
      });
    };
    tenure.signal.addEventListener('abort', over, { once: true });
    try {
      await this.#options.work(shard, tenure, leave);
      if (!leave.aborted && tenure.isHeld) throw new Error(`work on shard ${shard} ended by itself`);
    } finally {
      cancelDrain();
      tenure.signal.removeEventListener('abort', over);
      await holder.release();
      const heldMs = Math.round(clock.monotonic() - begun);
      log.info('this replica no longer works on a shard', { shard, heldMs });
    }
  }

  /** Removes what members left who did not say farewell. */
  async #tidy(): Promise<void> {
    const { book, clock, timing } = this.#options;
    for (const name of this.#observed.names()) {
      const ageMs = this.#observed.unchangedMs(name, clock.monotonic());
      if (!name.startsWith(memberPrefix) || ageMs < litterDurations * timing.durationMs) continue;
      await within(timing.callMs, clock, (signal) => book.remove(name, { signal }));
    }
  }

  /** Says farewell first, so that the others know whose turn it is, then hands over. */
  async #leaveAll(): Promise<void> {
    const { book, clock, timing, log } = this.#options;
    const farewell = within(timing.callMs, clock, (signal) =>
      book.remove(this.#memberName, { signal }),
    ).catch((thrown: unknown) =>
      log.debug('the others were not told that this replica ends', { error: toError(thrown).message }),
    );
    const all = [...this.#held.values()];
    for (const { leave } of all) leave.abort();
    await Promise.allSettled([farewell, ...all.map(({ ended }) => ended)]);
  }
}

/** For work that has nothing to do: waits until it has to end. */
export function idle(tenure: Tenure, leave: AbortSignal): Promise<void> {
  return aborted(AbortSignal.any([tenure.signal, leave]));
}
