import type { TerminalPhase } from '../src/api/hook.ts';
import { Random } from './random.ts';
import { roles } from './roles.ts';

/** What happens to a Task. */
export type Story =
  /** It ends. */
  | 'ends'
  /** It ends, and was made by somebody who does not know the finalizer. */
  | 'ends unheld'
  /** It is deleted as soon as it has ended. */
  | 'deleted after its end'
  /** It is deleted while it runs, and then ends. */
  | 'deleted before its end'
  /** It is deleted while it runs, and never ends. */
  | 'deleted unfinished'
  /** It fails, is told of, and runs again. */
  | 'again'
  /** It fails and runs again, whether or not anybody has seen the failure. */
  | 'again at once';

const stories: Readonly<Record<Story, number>> = {
  ends: 55,
  'ends unheld': 10,
  'deleted after its end': 12,
  'deleted before its end': 6,
  'deleted unfinished': 2,
  again: 8,
  'again at once': 7,
};

/** Where Tasks live: of each shard one. */
export const namespaces = ['default', 'blue', 'green', 'east'] as const;

export interface PlannedTask {
  readonly namespace: (typeof namespaces)[number];
  readonly name: string;
  readonly story: Story;
  /** Roles; their names are those of the hooks. */
  readonly hooks: readonly string[];
  /** How it ends; the last time, when it runs again. */
  readonly phase: TerminalPhase;
  /** Real milliseconds between one step and the next. */
  readonly pausesMs: readonly [number, number, number];
}

const roleWeights = Object.fromEntries(Object.entries(roles).map(([name, { weight }]) => [name, weight]));

/** The nth Task of a seed. */
export function planTask(seed: string, n: number): PlannedTask {
  const random = new Random(seed, 'task', n);
  const hooks = new Set<string>();
  for (let count = random.between(1, 4); count > 0; count -= 1) hooks.add(random.pick(roleWeights));
  const pause = (): number => (random.chance(0.5) ? 0 : random.between(1, 300));
  return {
    namespace: namespaces[n % namespaces.length] ?? 'default',
    name: `task-${n}`,
    story: random.pick(stories),
    hooks: [...hooks],
    phase: random.chance(0.5) ? 'Succeeded' : 'Failed',
    pausesMs: [pause(), pause(), pause()],
  };
}

/**
 * When an engine is killed. `share` is of the time that an engine takes to be ready, and counts from its start:
 * so the same plan hits the same places on machines of any speed.
 */
export interface Moment {
  readonly at: /** Before it is ready, as like as not. */
    | 'start'
    /** At any time later. */
    | 'random'
    /** With the nth POST from then on, which is not answered yet. */
    | 'POST'
    /** With the nth 2xx from then on, of which nothing is written yet. */
    | '2xx'
    /** With the nth end of a Task from then on, in the middle of other writes. */
    | 'write';
  readonly share: number;
  readonly nth: number;
}

/** The moment of the nth kill of a seed. */
export function planKill(seed: string, n: number): Moment {
  const random = new Random(seed, 'kill', n);
  const at = random.pick({ start: 20, random: 25, POST: 15, '2xx': 25, write: 15 });
  const share =
    at === 'start' ? random.next() * 1.1 : at === 'write' ? random.next() * 1.5 : 1 + random.next();
  return { at, share, nth: random.between(1, at === 'write' ? 3 : 10) };
}

/** What is done to an engine at such a moment. */
export interface Strike {
  readonly signal: StrikeSignal;
  /** From 0 to 1: which of the engines that are awake. */
  readonly victim: number;
  /** How long SIGSTOP lasts, in durations of a Lease: some wake when theirs is over, and is nobody's yet. */
  readonly leases: number;
}

export type StrikeSignal = 'SIGKILL' | 'SIGTERM' | 'SIGSTOP';

/** As many strikes in a row are these, in some order. */
const strikes: readonly StrikeSignal[] = ['SIGKILL', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGSTOP', 'SIGSTOP'];

/** The nth strike of a seed at engines that work side by side. */
export function planStrike(seed: string, n: number): Strike {
  const order = new Random(seed, 'signals', Math.floor(n / strikes.length));
  const shuffled = strikes
    .map((signal) => ({ signal, place: order.next() }))
    .sort((a, b) => a.place - b.place);
  const random = new Random(seed, 'strike', n);
  return {
    signal: shuffled[n % strikes.length]?.signal ?? 'SIGKILL',
    victim: random.next(),
    leases: 0.7 + 1.5 * random.next(),
  };
}

/** How far the clock of the nth engine of a seed is ahead of the right one, in its own milliseconds. */
export function planSkew(seed: string, n: number): number {
  const random = new Random(seed, 'skew', n);
  const most = { none: 0, seconds: 20_000, minutes: 600_000, hours: 3 * 3_600_000 };
  const limit = most[random.pick({ none: 30, seconds: 40, minutes: 20, hours: 10 })];
  return random.between(-limit, limit);
}
