import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import {
  kelosFinalizer,
  onCompletionFinalizer,
  outputsAwaitedAnnotation,
  reportedPhaseAnnotation,
} from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { taskDraft } from './fixtures.ts';
import { House, keyIn, type RunningRoom } from './house.ts';
import type { Receiver } from './receiver.ts';

let house: House;
let receiver: Receiver;
beforeEach(async () => {
  house = await House.open();
  receiver = await house.receiver();
});
afterEach(() => house.close());

const isMarked = ({ metadata }: Task): boolean => reportedPhaseAnnotation in (metadata.annotations ?? {});
const isHeld = ({ metadata }: Task): boolean => metadata.finalizers?.includes(onCompletionFinalizer) === true;
const isSettled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;

/** What Kelos writes at one moment of the story; null takes a field away. */
type Status = Record<string, unknown>;

const at = (time: string): string => `2026-01-02T03:0${time}Z`;
const pending: Status = { phase: 'Pending', startTime: null, completionTime: null };
const running = (time: string): Status => ({ phase: 'Running', startTime: at(time), completionTime: null });

interface Story {
  /** What Kelos does. */
  readonly does: string;
  readonly writes: readonly Status[];
  /** The phases that the hook is told of in the end, one message each. */
  readonly told: readonly string[];
}

const stories: readonly Story[] = [
  {
    does: 'turns a Failed Task back to Pending, and it succeeds',
    writes: [
      { phase: 'Failed' },
      pending,
      running('1:00'),
      { phase: 'Succeeded', completionTime: at('2:00') },
    ],
    told: ['Failed', 'Succeeded'],
  },
  {
    does: 'turns a Failed Task back to Pending again and again, and it fails before it has a Job',
    writes: [{ phase: 'Failed' }, pending, { phase: 'Failed' }, pending, { phase: 'Failed' }],
    told: ['Failed'],
  },
  {
    does: 'runs a finished Task again, to the same end',
    writes: [
      running('0:00'),
      { phase: 'Failed', completionTime: at('1:00') },
      running('2:00'),
      { phase: 'Failed', completionTime: at('3:00') },
    ],
    told: ['Failed', 'Failed'],
  },
  {
    does: 'runs a finished Task again, to another end',
    writes: [
      running('0:00'),
      { phase: 'Succeeded', completionTime: at('1:00') },
      running('2:00'),
      { phase: 'Failed', completionTime: at('3:00') },
    ],
    told: ['Succeeded', 'Failed'],
  },
  {
    does: 'leaves completionTime empty',
    writes: [running('0:00'), { phase: 'Failed' }, { message: 'Task failed' }],
    told: ['Failed'],
  },
  {
    does: 'runs a finished Task again, and leaves completionTime empty each time',
    writes: [running('0:00'), { phase: 'Failed' }, pending, running('2:00'), { phase: 'Failed' }],
    told: ['Failed', 'Failed'],
  },
  {
    does: 'leaves completionTime empty at first, and fills it in later',
    writes: [running('0:00'), { phase: 'Failed' }, { completionTime: at('1:00') }],
    told: ['Failed'],
  },
  {
    does: 'rewrites completionTime each time it looks',
    writes: [
      { phase: 'Failed', completionTime: at('1:00') },
      { completionTime: at('1:10') },
      { completionTime: at('1:20') },
    ],
    told: ['Failed'],
  },
  {
    does: 'writes the outputs long after it gave up looking for them',
    writes: [
      running('0:00'),
      { phase: 'Succeeded', completionTime: at('1:00') },
      { outputs: ['branch: x'], results: { branch: 'x' } },
    ],
    told: ['Succeeded'],
  },
];

const isTerminal = (task: Task): boolean =>
  task.status?.phase === 'Succeeded' || task.status?.phase === 'Failed';

/** Whether the recorder has done what this Task needs. */
const isDone = (task: Task): boolean =>
  isTerminal(task) ? isMarked(task) && !isHeld(task) : isHeld(task) && !isMarked(task);

const ofKelos = { finalizers: [kelosFinalizer] };
const hooks = (): object[] => [{ name: 'oncall', webhook: { url: receiver.url } }];

async function toldPhases(count: number): Promise<string[]> {
  await receiver.received(count);
  await house.delivery('oncall', isSettled);
  const deliveries = await house.deliveries();
  const ids = receiver.requests.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids)).toEqual(new Set(deliveries.map(({ spec }) => spec.id)));
  expect(ids).toHaveLength(deliveries.length);
  return receiver.requests.map(({ body }) => (JSON.parse(body) as { phase: string }).phase);
}

describe('Kelos', () => {
  it.each(stories)('$does: each run is told once', async ({ writes, told }) => {
    const { stop } = house.start();
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    for (const status of writes) {
      await house.setStatus('fix-7', status);
      await house.task('fix-7', isDone);
    }
    expect(await toldPhases(told.length)).toEqual(told);
    await stop();
  });

  it.each(stories)('$does, with a restart after every step: each run is told once', async (story) => {
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    for (const status of story.writes) {
      await house.setStatus('fix-7', status);
      const { stop } = house.start();
      await house.task('fix-7', isDone);
      await stop();
    }
    const last = house.start();
    expect(await toldPhases(story.told.length)).toEqual(story.told);
    await last.stop();
  });

  it.each(stories)('$does while nobody looks: how it ended is told once', async (story) => {
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    for (const status of story.writes) await house.setStatus('fix-7', status);
    const { stop } = house.start();
    await house.task('fix-7', isDone);
    expect(await toldPhases(1)).toEqual(story.told.slice(-1));
    await stop();
  });

  it('rewrites completionTime between recording and marking: the run is told once', async () => {
    let rewrites = 0;
    const rewriting = new Proxy(house.store, {
      get(store, name: keyof ResourceStore) {
        const method = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>;
        if (name !== 'create') return method;
        return async (...args: unknown[]) => {
          const created = await method(...args);
          rewrites += 1;
          if (rewrites < 3) await house.setStatus('fix-7', { completionTime: at(`2:0${rewrites}`) });
          return created;
        };
      },
    });
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    const { stop } = house.start({}, rewriting);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: at('2:00') });
    await house.task('fix-7', isDone);
    expect(await toldPhases(1)).toEqual(['Failed']);
    expect(await house.deliveries()).toHaveLength(1);
    await stop();
  });
});

describe('a Task that ended anew while nobody looked, without a startTime', () => {
  it('is said to be in doubt, and told when a person says that it ran again', async () => {
    const first = house.start();
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: at('0:00') });
    await house.task('fix-7', isDone);
    await first.stop();
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: at('5:00') });
    const second = house.start();
    await second.room.untilCaughtUp(AbortSignal.timeout(10_000));
    await second.stop();
    const said = (await house.store.list('Event')).items.filter(({ reason }) => reason === 'RunInDoubt');
    expect(said.map(({ involvedObject }) => involvedObject.name)).toEqual(['fix-7']);
    expect(said[0]?.message).toContain(`telos annotate task/fix-7 -n default ${reportedPhaseAnnotation}-`);
    await house.store.patch('Task', keyIn('fix-7'), {
      metadata: { annotations: { [reportedPhaseAnnotation]: null } },
    });
    const third = house.start();
    expect(await toldPhases(2)).toEqual(['Failed', 'Failed']);
    await third.stop();
  });
});

describe('outputs that Kelos writes after the phase', () => {
  const ended = { phase: 'Failed', jobName: 'fix-7' };
  const times = [
    ['with completionTime', { ...ended, completionTime: '2026-01-02T03:04:05Z' }],
    ['without completionTime', ended],
  ] as const;
  const isNoted = ({ metadata }: Task): boolean => outputsAwaitedAnnotation in (metadata.annotations ?? {});

  /** Another Task ends and is told of: what was going to happen by now has had its time. */
  async function pass(name: string): Promise<void> {
    const well = await house.receiver();
    await house.store.create<'Task'>(taskDraft(name, [{ name, webhook: { url: well.url } }]));
    await house.setStatus(name, {
      phase: 'Failed',
      completionTime: new Date(house.clock.now()).toISOString(),
    });
    await house.delivery(name, isSettled);
  }

  async function begin(status: Status): Promise<RunningRoom> {
    await house.store.create<'Task'>(taskDraft('fix-7', hooks(), ofKelos));
    const running = house.start();
    await house.task('fix-7', isHeld);
    await house.setStatus('fix-7', status);
    await house.task('fix-7', (task) => isNoted(task) || task.status?.completionTime !== undefined);
    await pass('begun');
    return running;
  }

  it.each(times)('%s are waited for, over a restart', async (_, status) => {
    const first = await begin(status);
    await first.stop();
    house.clock.advance(20_000);
    const { room } = house.start();
    await pass('restarted');
    expect(room.caughtUp).toBe(false);
    expect(receiver.requests).toEqual([]);
    await house.setStatus('fix-7', { outputs: ['branch: x'], results: { branch: 'x' } });
    const { spec } = await house.delivery('oncall', isSettled);
    expect(spec.payload.outputs).toEqual(['branch: x']);
    const task = await house.task('fix-7', isDone);
    expect(isNoted(task)).toBe(false);
    expect(await house.deliveries()).toHaveLength(3);
  });

  it.each(times)('%s are waited for 35 s in all, a restart included', async (_, status) => {
    const first = await begin(status);
    house.clock.advance(20_000);
    await first.stop();
    house.start();
    await pass('restarted');
    house.clock.advance(14_000);
    await pass('almost');
    expect(receiver.requests).toEqual([]);
    house.clock.advance(1_500);
    const { spec } = await house.delivery('oncall', isSettled);
    expect(spec.payload.outputs).toBeUndefined();
    expect(isNoted(await house.task('fix-7', isDone))).toBe(false);
  });

  it('without completionTime are waited for anew when the Task runs again', async () => {
    await begin(ended);
    house.clock.advance(20_000);
    await house.setStatus('fix-7', { phase: 'Running' });
    await house.task('fix-7', (task) => !isNoted(task));
    await house.setStatus('fix-7', ended);
    await house.task('fix-7', isNoted);
    house.clock.advance(20_000);
    await pass('later');
    expect(receiver.requests).toEqual([]);
    await house.setStatus('fix-7', { outputs: ['branch: x'] });
    expect((await house.delivery('oncall', isSettled)).spec.payload.outputs).toEqual(['branch: x']);
  });

  it('are not waited for once the Task is being deleted', async () => {
    await begin(ended);
    await house.store.delete('Task', keyIn('fix-7'));
    await house.delivery('oncall', isSettled);
  });
});
