import { setTimeout as delay } from 'node:timers/promises';
import type { EngineLife } from './engine-life.ts';
import type { EngineProcess, EngineStart } from './engine-process.ts';
import { type Moment, planSkew, type Strike, type StrikeSignal } from './plan.ts';
import type { Sharing } from './stand.ts';

export interface FleetOptions {
  /** How many engines work side by side. */
  readonly replicas: number;
  readonly seed: string;
  readonly sharing: Sharing | undefined;
  readonly start: (start: EngineStart) => EngineProcess;
  /** Told of each connection of each engine. */
  readonly onConnect: (engine: number, from: number, to: number) => void;
}

/** A start that takes longer waits for a store that is away, and says nothing of how fast the machine is. Real. */
const longestStartMs = 3_000;
/** How long one that is to end may take: then it is killed. Real. */
const graceMs = 5_000;

/** The engines that work side by side, and what is done to them. */
export class Fleet {
  readonly strikes: Record<StrikeSignal, number> = { SIGKILL: 0, SIGTERM: 0, SIGSTOP: 0 };
  readonly #options: FleetOptions;
  readonly #lives: EngineLife[] = [];
  /** The youngest last. */
  readonly #living = new Map<EngineProcess, { readonly startedAt: number }>();
  /** Resolve when those that stand still go on. */
  readonly #asleep = new Map<EngineProcess, Promise<void>>();
  #startMs = 500;
  #fail: (error: Error) => void = () => {};
  /** Rejects when an engine ends that nobody has ended. */
  readonly failed: Promise<never>;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.failed = new Promise((_resolve, reject) => (this.#fail = reject));
    this.failed.catch(() => {});
  }

  /** All engines that ever were. */
  get lives(): readonly EngineLife[] {
    return this.#lives;
  }

  /** How long an engine takes until it works, with all it has to wait for. Real milliseconds. */
  get startMs(): number {
    return this.#startMs + (this.#options.sharing?.leaseMs ?? 0);
  }

  /** Starts what is missing. */
  fill(): void {
    while (this.#living.size < this.#options.replicas)
      this.#start(this.#options.sharing === undefined ? 0 : planSkew(this.#options.seed, this.#lives.length));
  }

  async strike({ signal, victim, leases }: Strike, { at }: Moment): Promise<void> {
    const engine = await this.#pick(at === 'start' ? 1 : victim);
    this.strikes[signal] += 1;
    if (signal === 'SIGSTOP') this.#freeze(engine, leases * (this.#options.sharing?.leaseMs ?? 0));
    else if (signal === 'SIGTERM') await this.#stop(engine);
    else await this.#kill(engine);
  }

  /** Resolves when all go on. */
  async awake(): Promise<void> {
    await Promise.all(this.#asleep.values());
  }

  /** Puts one whose clock is right in the place of each whose clock is not, one after another. */
  async setClocksRight(): Promise<void> {
    await this.awake();
    if (this.#options.sharing === undefined) return;
    for (const engine of [...this.#living.keys()]) {
      this.#start(0);
      await this.#stop(engine);
    }
  }

  /** @throws Error when one does not end as it should */
  async stopAll(): Promise<void> {
    await this.awake();
    await Promise.all(
      [...this.#living.keys()].map(async (engine) => {
        // One that was only just started may not even listen to the signal.
        await Promise.race([engine.ready, this.failed]);
        this.#living.delete(engine);
        const exitCode = await engine.stop();
        if (exitCode !== 0) throw new Error(`an engine ended with ${exitCode}:\n${endOf(engine)}`);
      }),
    );
  }

  #start(skewMs: number): void {
    const { start, onConnect } = this.#options;
    const number = this.#lives.length + 1;
    const startedAt = performance.now();
    const engine = start({ number, skewMs, onConnect: (from, to) => onConnect(number, from, to) });
    this.#lives.push(engine.life);
    this.#living.set(engine, { startedAt });
    void engine.ready.then(() => {
      this.#startMs = Math.min(performance.now() - startedAt, longestStartMs);
    });
    void engine.ended.then(() => {
      if (this.#living.has(engine)) this.#fail(new Error(`an engine ended by itself:\n${endOf(engine)}`));
    });
  }

  /** One that is awake; `place`, from 0 to 1, says which: 1 is the youngest. */
  async #pick(place: number): Promise<EngineProcess> {
    for (;;) {
      const awake = [...this.#living.keys()].filter((engine) => !this.#asleep.has(engine));
      const picked = awake[Math.min(Math.floor(place * awake.length), awake.length - 1)];
      if (picked !== undefined) return picked;
      await Promise.race(this.#asleep.values());
    }
  }

  async #kill(engine: EngineProcess): Promise<void> {
    const startedAt = this.#living.get(engine)?.startedAt ?? 0;
    this.#living.delete(engine);
    await engine.kill();
    // One that was not ready yet takes at least as long as it lived.
    const livedMs = Math.min(performance.now() - startedAt, longestStartMs);
    this.#startMs = Math.max(this.#startMs, engine.isReady ? 0 : livedMs);
  }

  async #stop(engine: EngineProcess): Promise<void> {
    this.#living.delete(engine);
    const late = new AbortController();
    const exitCode = await Promise.race([
      engine.stop(),
      delay(graceMs, 'late' as const, { signal: late.signal }).catch(() => 'late' as const),
    ]);
    late.abort();
    if (exitCode === 'late') await engine.kill();
    // One that is not at work yet may not even listen to the signal.
    else if (engine.isReady && exitCode !== 0)
      throw new Error(`an engine that was to end ended with ${exitCode}:\n${endOf(engine)}`);
  }

  #freeze(engine: EngineProcess, ms: number): void {
    const asleep = engine.freeze(ms).finally(() => this.#asleep.delete(engine));
    this.#asleep.set(engine, asleep);
  }
}

function endOf({ log }: EngineProcess): string {
  return log.slice(-20).join('\n');
}
