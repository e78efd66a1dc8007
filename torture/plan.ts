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

export interface PlannedTask {
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
