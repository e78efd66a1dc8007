import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Delivery } from '../src/api/delivery.ts';
import type { Kind, Resource } from '../src/api/kinds.ts';
import { makeCertificate } from '../src/cli/demo/certificate.ts';
import { runCli } from '../src/cli/program.ts';
import { needsDispatch } from '../src/report/decide-delivery.ts';
import { redeliver } from '../src/report/redeliver.ts';
import { keyOf, type ResourceStore } from '../src/store/store.ts';
import { Fleet } from './fleet.ts';
import { type Evidence, type Fault, judge } from './judge.ts';
import { Ledger } from './ledger.ts';
import {
  type Moment,
  namespaces,
  planKill,
  planStrike,
  planTask,
  type Strike,
  type StrikeSignal,
} from './plan.ts';
import { Receiver } from './receiver.ts';
import { attemptsOfBusyMachines, hookOf, roles, secretDraft, secrets } from './roles.ts';
import { receiverAddress, type Stand } from './stand.ts';
import { type StandKind, stands } from './stands.ts';
import { Writer, type WrittenTask } from './writer.ts';

export interface TortureOptions {
  readonly kills: number;
  readonly tasks: number;
  readonly seed: string;
  readonly store: StandKind;
  /** How many engines work side by side. */
  readonly replicas: number;
  /** For the store and what engines are given; empty. */
  readonly folder: string;
  /** Told now and then how far it is. */
  readonly onProgress: (line: string) => void;
}

export interface TortureResult {
  readonly faults: readonly Fault[];
  readonly evidence: Evidence;
  /** How many kills came at each kind of moment. */
  readonly kills: Readonly<Record<Moment['at'], number>>;
  /** How many of each signal they were. */
  readonly strikes: Readonly<Record<StrikeSignal, number>>;
  /** What happened to the store besides, and how often. */
  readonly trouble: Readonly<Record<string, number>>;
}

/** Receivers get well when so much of the kills is over: recovering is tortured too. */
const healAfter = 0.8;
/** How long the event that an engine is to die of may take to come. Real milliseconds. */
const patienceMs = 1_000;
/** How long nothing may happen at the end before what is left counts as unsettled. Real. */
const stillMs = 60_000;
/** The only strike at engines of which there is one at a time. */
const kill: Strike = { signal: 'SIGKILL', victim: 0, leases: 0 };
/** A wait that nobody sits out, by the engine's clock. */
const longWaitMs = 30_000;

/** The whole torture, from an empty store to the verdict. */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  const { folder, seed } = options;
  const authority = await makeCertificate();
  const names = [receiverAddress];
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, authority.certPem);
  const stand = await stands[options.store]({ folder, caFile, seed, kills: options.kills });
  const ledger = new Ledger();
  const receivers = new Map<string, Receiver>();
  try {
    const certificate = await makeCertificate({ names, signedBy: authority });
    const untrusted = await makeCertificate({ names, signedBy: await makeCertificate() });
    for (const [name, role] of Object.entries(roles))
      receivers.set(
        name,
        await Receiver.start(name, role, { seed, ledger, clock: stand.clock, certificate, untrusted }),
      );
    const { evidence, kills, strikes } = await new Torture(options, stand, ledger, receivers).run();
    return { faults: judge(evidence), evidence, kills, strikes, trouble: stand.trouble?.counts ?? {} };
  } finally {
    for (const receiver of receivers.values()) await receiver.close();
    await stand.close();
  }
}

class Torture {
  readonly #options: TortureOptions;
  readonly #stand: Stand;
  readonly #ledger: Ledger;
  readonly #receivers: ReadonlyMap<string, Receiver>;
  readonly #writer: Writer;
  readonly #written: WrittenTask[] = [];
  readonly #living = new Set<Promise<void>>();
  #broken: Error | undefined;
  #onEnd: (() => void) | undefined;
  readonly #fleet: Fleet;
  #planned = 0;

  constructor(
    options: TortureOptions,
    stand: Stand,
    ledger: Ledger,
    receivers: ReadonlyMap<string, Receiver>,
  ) {
    this.#options = options;
    this.#stand = stand;
    this.#ledger = ledger;
    this.#receivers = receivers;
    this.#fleet = new Fleet({
      replicas: options.replicas,
      seed: options.seed,
      sharing: stand.sharing,
      start: (start) => stand.startEngine(start),
      onConnect: (engine, from, to) => ledger.connected(engine, from, to),
    });
    const originOf = (name: string): string => receivers.get(name)?.origin ?? '';
    this.#writer = new Writer(
      stand.store,
      stand.clock,
      (name) => hookOf(name, roleNamed(name), originOf(name)),
      () => this.#onEnd?.(),
    );
  }

  async run(): Promise<Pick<TortureResult, 'evidence' | 'kills' | 'strikes'>> {
    const { kills, onProgress, tasks } = this.#options;
    const counts = { start: 0, random: 0, POST: 0, '2xx': 0, write: 0 };
    await this.#makeSecrets(['token', 'signing']);
    const healAt = Math.floor(kills * healAfter);
    this.#stand.trouble?.begin();
    for (let kill = 0; kill < kills; kill += 1) {
      if (kill === healAt) await this.#heal();
      const moment = planKill(this.#options.seed, kill);
      await this.#round(kill, moment, Math.ceil((tasks * (kill + 1)) / kills));
      counts[moment.at] += 1;
      if ((kill + 1) % Math.max(10, Math.floor(kills / 20)) === 0)
        onProgress(
          `${kill + 1} kills, ${this.#planned} Tasks, ${this.#ledger.arrivals.length} POSTs; a start takes ${Math.round(this.#fleet.startMs)} ms`,
        );
    }
    await this.#finish();
    const [stored, deliveries] = [await listAll(this.#stand.store, 'Task'), await this.#deliveries()];
    const { arrivals } = this.#ledger;
    return {
      evidence: {
        roles,
        written: this.#written,
        tasks: stored,
        deliveries,
        arrivals,
        engines: this.#fleet.lives,
        shards: this.#stand.sharing?.shards,
        excused: [...attemptsOfBusyMachines, ...(this.#stand.trouble?.attempts ?? [])],
      },
      kills: counts,
      strikes: this.#fleet.strikes,
    };
  }

  /** The time until one of the engines is struck, with the Tasks up to number `upTo` living theirs. */
  async #round(n: number, moment: Moment, upTo: number): Promise<void> {
    const { seed } = this.#options;
    this.#fleet.fill();
    this.#liveUpTo(upTo);
    await Promise.race([this.#until(moment), this.#fleet.failed]);
    await this.#fleet.strike(this.#stand.sharing === undefined ? kill : planStrike(seed, n), moment);
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Lets the next Tasks begin, at random moments of the life of an engine. */
  #liveUpTo(upTo: number): void {
    for (; this.#planned < upTo; this.#planned += 1) {
      const plan = planTask(this.#options.seed, this.#planned);
      // In bursts of a few, so that writes meet.
      const burst = Math.floor(this.#planned / 5) % 3;
      const life = delay(burst * 0.75 * this.#fleet.startMs)
        .then(() => this.#writer.live(plan))
        .then(
          (written) => void this.#written.push(written),
          (error: Error) => {
            this.#broken ??= new Error(`${plan.name} (${plan.story}) could not be written`, { cause: error });
          },
        )
        .finally(() => this.#living.delete(life));
      this.#living.add(life);
    }
  }

  async #until({ at, share, nth }: Moment): Promise<void> {
    await delay(share * this.#fleet.startMs);
    await Promise.race([this.#reached(at, nth), delay(patienceMs)]);
  }

  #reached(at: Moment['at'], nth: number): Promise<void> {
    switch (at) {
      case 'POST':
        return this.#ledger.arrival(nth);
      case '2xx':
        return this.#ledger.success(nth);
      case 'write': {
        let left = nth;
        return new Promise((resolve) => {
          this.#onEnd = () => {
            left -= 1;
            if (left === 0) resolve();
          };
        });
      }
      case 'start':
      case 'random':
        return Promise.resolve();
    }
  }

  /** Makes all receivers well, and has what failed sent again. */
  async #heal(): Promise<void> {
    for (const receiver of this.#receivers.values()) await receiver.heal();
    await this.#makeSecrets(['late']);
    await this.#recover();
  }

  /** What a person would do when a receiver is well again: `telos deliveries recover`, for each hook. */
  async #recover(): Promise<void> {
    for (const [name, role] of Object.entries(roles)) {
      if (role.incurable) continue;
      const args = ['deliveries', 'recover', '-A', '--since', '1000h', '--hook', name];
      const recover = (): Promise<void> => this.#telos([...args, '--store', this.#stand.storeName]);
      await (this.#stand.trouble?.undisturbed(recover) ?? recover());
    }
  }

  async #telos(args: readonly string[]): Promise<void> {
    let said = '';
    const stderr = { write: (text: string | Uint8Array) => (said += String(text)) };
    const exitCode = await runCli(args, {
      stdin: Readable.from([]),
      stdout: { write: () => true },
      stderr,
      env: this.#stand.env,
      clock: this.#stand.clock,
      signal: new AbortController().signal,
    });
    if (exitCode !== 0) throw new Error(`telos ${args.join(' ')}: ${said}`);
  }

  async #makeSecrets(names: readonly (keyof typeof secrets)[]): Promise<void> {
    for (const name of names)
      for (const namespace of namespaces)
        await this.#stand.store.create(secretDraft(secrets[name], namespace, 0));
  }

  /** Leaves the last engines alone until nothing is left to do. */
  async #finish(): Promise<void> {
    this.#fleet.fill();
    this.#liveUpTo(this.#options.tasks);
    await Promise.race([Promise.all(this.#living), this.#fleet.failed]);
    if (this.#broken !== undefined) throw this.#broken;
    await this.#stand.trouble?.stop();
    await this.#fleet.setClocksRight();
    await this.#settle();
    if (this.#options.kills === 0) await this.#heal();
    await this.#recover();
    await this.#settle();
    await this.#fleet.stopAll();
  }

  /** Resolves when no Task and no Delivery is left that needs something, or nothing has happened for long. */
  async #settle(): Promise<void> {
    let left = Number.POSITIVE_INFINITY;
    let changedAt = performance.now();
    while (performance.now() - changedAt < stillMs) {
      const before = left;
      left = await this.#unfinished();
      if (left === 0) return;
      if (left !== before) changedAt = performance.now();
      await delay(250);
    }
  }

  async #unfinished(): Promise<number> {
    const deliveries = (await this.#deliveries()).filter(needsDispatch);
    await this.#hurry(deliveries);
    const tasks = await listAll(this.#stand.store, 'Task');
    return deliveries.length + tasks.filter(({ metadata }) => metadata.finalizers !== undefined).length;
  }

  /**
   * What failed often waits for minutes and hours: it is sent at once, as a person would have it. What is due,
   * and forgotten, stays so.
   */
  async #hurry(deliveries: readonly Delivery[]): Promise<void> {
    const { store, clock } = this.#stand;
    const longWait = clock.now() + longWaitMs;
    for (const delivery of deliveries)
      if (Date.parse(delivery.status?.nextAttemptAt ?? '') > longWait)
        await redeliver(store, keyOf(delivery), clock);
  }

  #deliveries(): Promise<Resource<'Delivery'>[]> {
    return listAll(this.#stand.store, 'Delivery');
  }
}

function roleNamed(name: string): (typeof roles)[string] {
  const role = roles[name];
  if (role === undefined) throw new Error(`there is no role ${name}`);
  return role;
}

async function listAll<K extends Kind>(store: ResourceStore, kind: K): Promise<Resource<K>[]> {
  const all: Resource<K>[] = [];
  let token: string | undefined;
  do {
    const page = await store.list(kind, { limit: 500, continue: token });
    all.push(...page.items);
    token = page.continue;
  } while (token !== undefined);
  return all;
}
