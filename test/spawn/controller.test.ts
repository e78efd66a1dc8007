import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/api/kinds.ts';
import type { TaskSpawnerSpec, TaskSpawnerStatus } from '../../src/api/task-spawner.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until, untilGone } from '../support/until.ts';
import {
  complete,
  cronSpec,
  numberOf,
  type RunningSpawn,
  spawnerDraft,
  startSpawn,
  tasksOf,
  webhookSpec,
} from './fixtures.ts';

const spawnerKey = { namespace: 'default', name: 's' };

let clock: ManualClock;
let temporary: Awaited<ReturnType<typeof temporaryStore>>;
let store: ResourceStore;
let spawn: RunningSpawn;

beforeEach(async () => {
  clock = new ManualClock('2026-01-02T03:00:30Z');
  temporary = await temporaryStore({ clock });
  store = temporary.store;
});

afterEach(async () => {
  await spawn.stop();
  await temporary.close();
});

async function start(spec: TaskSpawnerSpec): Promise<void> {
  await store.create(spawnerDraft('s', spec));
  spawn = startSpawn(store, clock);
}

async function untilStatus(wanted: Partial<TaskSpawnerStatus>): Promise<Resource<'TaskSpawner'>> {
  return until(store, 'TaskSpawner', spawnerKey, ({ status }) =>
    Object.entries(wanted).every(([field, value]) => status?.[field as keyof TaskSpawnerStatus] === value),
  );
}

/** The numbers of the Tasks that may run. */
async function running(): Promise<number[]> {
  const tasks = await tasksOf(store);
  return tasks
    .filter(({ spec, status }) => spec.suspend !== true && status?.phase === undefined)
    .map(numberOf);
}

async function sendAll(count: number): Promise<void> {
  for (let id = 1; id <= count; id += 1) await spawn.send('ci', { id });
}

describe('maxConcurrency', () => {
  const limited = (maxConcurrency: number): TaskSpawnerSpec => ({ ...webhookSpec, maxConcurrency });

  test('lets so many run; the others wait and status counts them', async () => {
    await start(limited(2));
    await sendAll(5);
    await untilStatus({ activeTasks: 2, waitingTasks: 3, totalTasksCreated: 5, phase: 'Running' });
    expect(await running()).toEqual([1, 2]);
  });

  test('hands the slot of a Task that ends, or goes, to the oldest that waits', async () => {
    await start(limited(2));
    await sendAll(5);
    await untilStatus({ activeTasks: 2, waitingTasks: 3 });
    const [first, second] = await tasksOf(store);
    if (first === undefined || second === undefined) throw new Error('no Tasks');
    await complete(store, second, 'Failed');
    await untilStatus({ activeTasks: 2, waitingTasks: 2 });
    expect(await running()).toEqual([1, 3]);
    await store.delete('Task', first.metadata);
    await untilStatus({ activeTasks: 2, waitingTasks: 1 });
    expect(await running()).toEqual([3, 4]);
  });

  test('raised lets more run, removed lets all run', async () => {
    await start(limited(1));
    await sendAll(6);
    await untilStatus({ activeTasks: 1, waitingTasks: 5 });
    await store.patch('TaskSpawner', spawnerKey, { spec: { maxConcurrency: 3 } });
    await untilStatus({ activeTasks: 3, waitingTasks: 3 });
    expect(await running()).toEqual([1, 2, 3]);
    await store.patch('TaskSpawner', spawnerKey, { spec: { maxConcurrency: null } });
    await untilStatus({ activeTasks: 6, waitingTasks: 0 });
  });

  test('lowered stops nothing that runs', async () => {
    await start(limited(3));
    await sendAll(4);
    await untilStatus({ activeTasks: 3, waitingTasks: 1 });
    await store.patch('TaskSpawner', spawnerKey, { spec: { maxConcurrency: 1 } });
    await untilStatus({ observedGeneration: 2 });
    const [first] = await tasksOf(store);
    if (first !== undefined) await complete(store, first);
    await untilStatus({ activeTasks: 2, waitingTasks: 1 });
  });

  test('holds over a restart: what waited goes on waiting, and has its turn', async () => {
    await start(limited(1));
    await sendAll(3);
    await untilStatus({ activeTasks: 1, waitingTasks: 2 });
    await spawn.stop();
    const [first] = await tasksOf(store);
    if (first !== undefined) await complete(store, first);
    spawn = startSpawn(store, clock);
    await untilStatus({ activeTasks: 1, waitingTasks: 1 });
    expect(await running()).toEqual([2]);
  });

  test('is never exceeded while Tasks come and end in haste, and every Task has its turn', async () => {
    await start(limited(3));
    const stop = new AbortController();
    const { resourceVersion } = await store.list('Task');
    const active = new Set<string>();
    const seen = { peak: 0, ended: 0 };
    const ended = (async () => {
      for await (const event of store.watch('Task', { resourceVersion, signal: stop.signal })) {
        if (event.type === 'BOOKMARK') continue;
        const { resource } = event;
        const { name } = resource.metadata;
        if (resource.status?.phase === 'Succeeded') {
          active.delete(name);
          seen.ended += 1;
          if (seen.ended === 40) return;
        } else if (resource.spec.suspend !== true && !active.has(name)) {
          active.add(name);
          seen.peak = Math.max(seen.peak, active.size);
          void complete(store, resource);
        }
      }
    })();
    await Promise.all(Array.from({ length: 40 }, (_, id) => spawn.send('ci', { id })));
    await ended;
    stop.abort();
    expect(seen.ended).toBe(40);
    expect(seen.peak).toBeLessThanOrEqual(3);
  });
});

describe('suspend', () => {
  test('keeps waiting Tasks waiting, leaves running ones alone, and goes on when lifted', async () => {
    await start({ ...webhookSpec, maxConcurrency: 1 });
    await sendAll(2);
    await untilStatus({ activeTasks: 1, waitingTasks: 1 });
    await store.patch('TaskSpawner', spawnerKey, { spec: { suspend: true } });
    await untilStatus({ phase: 'Suspended', message: 'Suspended by user' });
    const [first] = await tasksOf(store);
    expect(first?.spec.suspend).toBe(false);
    if (first !== undefined) await complete(store, first);
    await untilStatus({ activeTasks: 0, waitingTasks: 1 });
    await store.patch('TaskSpawner', spawnerKey, { spec: { suspend: false } });
    await untilStatus({ phase: 'Running', activeTasks: 1, waitingTasks: 0 });
  });
});

describe('a TaskSpawner', () => {
  test.each<[string, TaskSpawnerSpec]>([
    [
      'spec.when.jira',
      {
        ...webhookSpec,
        when: { jira: { baseUrl: 'https://jira.example', project: 'P', secretRef: { name: 'j' } } },
      },
    ],
    [
      'spec.taskTemplate.contextSources',
      {
        ...webhookSpec,
        taskTemplate: {
          ...webhookSpec.taskTemplate,
          contextSources: [{ name: 'c', http: { url: 'https://example.com' } }],
        },
      },
    ],
    ['spec.when.cron.schedule', cronSpec('0 0 L * *')],
  ])('that uses %s which cannot be worked is Failed, with a message and a Warning', async (field, spec) => {
    await start(spec);
    const { status } = await untilStatus({ phase: 'Failed' });
    expect(status?.message).toMatch(new RegExp(`^${field.replaceAll('.', '\\.')}`));
    await spawn.stop();
    expect((await store.list('Event')).items).toMatchObject([{ type: 'Warning', message: status?.message }]);
  });

  test('that is put right works from then on', async () => {
    await start({ ...webhookSpec, taskTemplate: { type: 'command', command: ['{{.nope'] } });
    await untilStatus({ phase: 'Failed' });
    expect((await spawn.send('ci', { id: 1 })).status).toBe(422);
    await store.patch('TaskSpawner', spawnerKey, { spec: { taskTemplate: { command: ['true'] } } });
    await untilStatus({ phase: 'Running', message: 'Webhook-driven TaskSpawner ready' });
    expect((await spawn.send('ci', { id: 1 })).status).toBe(202);
  });

  test('that is deleted takes its Tasks along and is no longer listening', async () => {
    await start(webhookSpec);
    await spawn.send('ci', { id: 1 });
    const [task] = await tasksOf(store);
    await store.delete('TaskSpawner', spawnerKey);
    if (task !== undefined) await untilGone(store, 'Task', task.metadata);
    expect((await spawn.send('ci', { id: 2 })).status).toBe(404);
  });

  test('whose status is current is not written again', async () => {
    await start(webhookSpec);
    const written = await untilStatus({ phase: 'Running' });
    await spawn.stop();
    spawn = startSpawn(store, clock);
    // Looked at after `s`, so when its status is there, `s` has been looked at.
    await store.create(spawnerDraft('t', webhookSpec));
    await until(store, 'TaskSpawner', { ...spawnerKey, name: 't' }, ({ status }) => status !== undefined);
    const later = await store.get('TaskSpawner', spawnerKey);
    expect(later.metadata.resourceVersion).toBe(written.metadata.resourceVersion);
  });
});

describe('a schedule', () => {
  /** The times of the ticks that have become Tasks. */
  const ticks = async (): Promise<(string | undefined)[]> =>
    (await tasksOf(store)).map(({ spec }) => spec.command?.[1]?.slice(11, 16));

  test('makes a Task at each tick, named by it, and wakes for the next', async () => {
    await start(cronSpec('* * * * *'));
    await untilStatus({ message: 'Created 0 tasks total; next at 2026-01-02T03:01:00Z' });
    clock.advance(30_000);
    await untilStatus({ totalTasksCreated: 1, lastDiscoveryTime: '2026-01-02T03:01:00Z' });
    clock.advance(60_000);
    await untilStatus({ totalTasksCreated: 2, lastDiscoveryTime: '2026-01-02T03:02:00Z' });
    expect((await tasksOf(store)).map(({ metadata }) => metadata.name)).toEqual([
      's-20260102-0301',
      's-20260102-0302',
    ]);
  });

  test('makes up for every tick that came while nobody looked', async () => {
    await start(cronSpec('*/10 * * * *'));
    await untilStatus({ phase: 'Running' });
    await spawn.stop();
    clock.advance(35 * 60_000);
    spawn = startSpawn(store, clock);
    await untilStatus({ totalTasksCreated: 3 });
    expect(await ticks()).toEqual(['03:10', '03:20', '03:30']);
  });

  test('makes up for more ticks than one pass takes', async () => {
    await start({ ...cronSpec('* * * * *'), maxConcurrency: 1 });
    await untilStatus({ phase: 'Running' });
    await spawn.stop();
    clock.advance(1_005 * 60_000);
    spawn = startSpawn(store, clock);
    await untilStatus({ totalTasksCreated: 1_005, lastDiscoveryTime: '2026-01-02T19:45:00Z' });
  });

  test('begins with the creation of its TaskSpawner', async () => {
    await store.create(spawnerDraft('s', cronSpec('* * * * *')));
    clock.advance(120_000);
    spawn = startSpawn(store, clock);
    await untilStatus({ totalTasksCreated: 2 });
    expect(await ticks()).toEqual(['03:01', '03:02']);
  });

  test('makes no Task twice when the clock goes back', async () => {
    await start(cronSpec('* * * * *'));
    await untilStatus({ phase: 'Running' });
    clock.advance(150_000);
    await untilStatus({ totalTasksCreated: 3 });
    await spawn.stop();
    clock.setWall('2026-01-02T03:01:30Z');
    spawn = startSpawn(store, clock);
    await untilStatus({ message: 'Created 3 tasks total; next at 2026-01-02T03:04:00Z' });
    clock.advance(150_000);
    await untilStatus({ totalTasksCreated: 4 });
    expect(await ticks()).toEqual(['03:01', '03:02', '03:03', '03:04']);
  });

  test('goes on when the clock had been years ahead and was put right', async () => {
    await start({ ...cronSpec('0 0 1 1 *'), maxConcurrency: 1 });
    await untilStatus({ phase: 'Running' });
    await spawn.stop();
    clock.setWall('2030-06-01T00:00:00Z');
    spawn = startSpawn(store, clock);
    await untilStatus({ totalTasksCreated: 4, lastDiscoveryTime: '2030-01-01T00:00:00Z' });
    await spawn.stop();
    clock.setWall('2026-01-02T04:00:00Z');
    spawn = startSpawn(store, clock);
    await untilStatus({ lastDiscoveryTime: '2026-01-02T04:00:00Z' });
  });

  test('notices within minutes that the clock has jumped ahead', async () => {
    await start(cronSpec('0 * * * *'));
    await untilStatus({ message: 'Created 0 tasks total; next at 2026-01-02T04:00:00Z' });
    clock.setWall('2026-01-02T05:30:00Z');
    clock.advance(300_000);
    await untilStatus({ totalTasksCreated: 2 });
  });

  test('leaves out the ticks of the time it was suspended', async () => {
    await start({ ...cronSpec('* * * * *'), suspend: true });
    await untilStatus({ phase: 'Suspended' });
    clock.advance(300_000);
    await store.patch('TaskSpawner', spawnerKey, { spec: { suspend: false } });
    await untilStatus({ phase: 'Running', message: 'Created 0 tasks total; next at 2026-01-02T03:06:00Z' });
    clock.advance(60_000);
    await untilStatus({ totalTasksCreated: 1 });
    expect(await ticks()).toEqual(['03:06']);
  });

  test('does not make up for the time before its TaskSpawner had it', async () => {
    await start(webhookSpec);
    await untilStatus({ phase: 'Running' });
    clock.advance(24 * 3_600_000);
    await store.patch('TaskSpawner', spawnerKey, {
      spec: { ...cronSpec('0 * * * *'), when: { webhook: null, cron: { schedule: '0 * * * *' } } },
    });
    await untilStatus({ message: 'Created 0 tasks total; next at 2026-01-03T04:00:00Z' });
  });

  test('stops at maxTotalTasks and goes past the ticks after it', async () => {
    await start({ ...cronSpec('* * * * *'), maxTotalTasks: 2 });
    await untilStatus({ phase: 'Running' });
    clock.advance(5 * 60_000);
    await untilStatus({ totalTasksCreated: 2, lastDiscoveryTime: '2026-01-02T03:05:00Z' });
    expect(await ticks()).toEqual(['03:01', '03:02']);
  });
});
