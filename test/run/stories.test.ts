import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Draft } from '../../src/api/kinds.ts';
import { onCompletionFinalizer, runFinalizer } from '../../src/api/names.ts';
import type { Task, TaskSpec } from '../../src/api/task.ts';
import type { Clock } from '../../src/base/clock.ts';
import type { ProcessRunnerOptions } from '../../src/run/process/process-runner.ts';
import { isStoreError } from '../../src/store/errors.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until, untilGone } from '../support/until.ts';
import { type RunningEngine, startEngine } from './engine.ts';
import { shellTask, Workshop } from './fixtures.ts';

let workshop: Workshop;
let temporary: Awaited<ReturnType<typeof temporaryStore>>;
let store: ResourceStore;
let engine: RunningEngine;

beforeEach(async () => {
  workshop = await Workshop.open();
  temporary = await temporaryStore();
  store = temporary.store;
});

afterEach(async () => {
  // Deleting ends what still runs.
  for (const task of (await store.list('Task')).items) await remove(task);
  await engine.stop();
  await temporary.close();
  await workshop.close();
});

async function remove({ metadata }: Task): Promise<void> {
  const finalizers = metadata.finalizers?.includes(runFinalizer) ? [runFinalizer] : null;
  try {
    await store.patch('Task', metadata, { metadata: { finalizers } });
    await store.delete('Task', metadata);
  } catch (thrown) {
    if (!isStoreError(thrown, 'NotFound')) throw thrown;
  }
  await untilGone(store, 'Task', metadata);
}

const key = (name: string) => ({ namespace: 'default', name });
const find = async (name: string) =>
  (await store.list('Task')).items.find((task) => task.metadata.name === name);

function start(options: Partial<ProcessRunnerOptions> = {}, clock?: Clock): void {
  engine = startEngine(store, workshop.runner(options), clock);
}

async function create(name: string, script: string, spec: Partial<TaskSpec> = {}): Promise<Task> {
  return store.create<'Task'>(shellTask(name, script, spec));
}

const ended = (name: string) =>
  until(store, 'Task', key(name), ({ status }) => status?.completionTime !== undefined);
const inPhase = (name: string, phase: string) =>
  until(store, 'Task', key(name), ({ status }) => status?.phase === phase);
const waitingWith = (name: string, message: string) =>
  until(store, 'Task', key(name), ({ status }) => status?.phase === 'Waiting' && status.message === message);
const workFile = (task: Task, file: string) => join(workshop.directory, task.metadata.uid, 'work', file);

/** Waits for a file, so that a test decides when it ends. */
const untilTold = 'while [ ! -e go ]; do sleep 0.02; done';

describe('a Task', () => {
  test('runs, and its end is written with outputs and results in one go', async () => {
    start();
    const { metadata } = await create(
      'a',
      'echo ---KELOS_OUTPUTS_START---; echo pr: 7; echo text; echo ---KELOS_OUTPUTS_END---',
    );
    const phases: string[] = [];
    for await (const event of store.watch('Task', { resourceVersion: metadata.resourceVersion })) {
      if (event.type === 'BOOKMARK') continue;
      const { status } = event.resource;
      if (status?.phase && phases.at(-1) !== status.phase) phases.push(status.phase);
      if (status?.phase !== 'Succeeded') continue;
      expect(status).toMatchObject({
        message: 'Task completed successfully',
        outputs: ['pr: 7', 'text'],
        results: { pr: '7' },
      });
      expect(status.completionTime).toBeDefined();
      expect(status.startTime).toBeDefined();
      break;
    }
    expect(phases).toEqual(['Pending', 'Running', 'Succeeded']);
  });

  test('fails with the exit status and the last words of its program', async () => {
    start();
    await create('a', 'echo "cannot reach the moon" >&2; exit 3');
    expect((await ended('a')).status).toMatchObject({
      phase: 'Failed',
      message: 'Task failed: program exited with status 3: cannot reach the moon',
    });
  });

  test('that somebody removes by force has its program ended', async () => {
    start();
    const a = await create('a', 'sleep 60');
    await inPhase('a', 'Running');
    await store.patch('Task', key('a'), { metadata: { finalizers: null } });
    await store.delete('Task', key('a'));
    await goneFrom(workshop.directory, a.metadata.uid);
  });

  test('that asks for what a process cannot have fails and says so', async () => {
    start();
    await create('a', 'true', { workspaceRef: { name: 'w' } });
    expect((await ended('a')).status).toMatchObject({
      phase: 'Failed',
      message: expect.stringContaining('spec.workspaceRef is not supported by the process runner yet'),
    });
  });

  test('that waits for a Secret is left alone between two looks', async () => {
    const clock = new ManualClock(Date.now());
    start({}, clock);
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }];
    await create('a', 'true', { env });
    const message = 'Waiting for spec.env[0]: there is no Secret s; create it';
    const { metadata } = await waitingWith('a', message);
    await create('marker', 'true');
    await ended('marker');
    expect((await find('a'))?.metadata.resourceVersion).toBe(metadata.resourceVersion);
    await store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default' },
      stringData: { k: 'v' },
    });
    clock.advance(5_000);
    await ended('a');
  });

  test('waits for a Secret that is not there, and says for which', async () => {
    start();
    await create('a', 'true', {
      env: [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }],
    });
    await waitingWith('a', 'Waiting for spec.env[0]: there is no Secret s; create it');
    expect(await engine.metrics.getSingleMetricAsString('telos_tasks')).toContain(
      'telos_tasks{phase="Waiting"} 1',
    );
  });

  test('is counted, and its Events tell its story', async () => {
    start();
    await create('a', 'true');
    const task = await ended('a');
    expect(await engine.metrics.getSingleMetricAsString('telos_tasks_completed_total')).toContain(
      'telos_tasks_completed_total{phase="Succeeded",type="command"} 1',
    );
    await engine.stop();
    const events = (await store.list('Event')).items.filter(
      ({ involvedObject }) => involvedObject.uid === task.metadata.uid,
    );
    expect(events.map(({ reason }) => reason).sort()).toEqual(['TaskRunning', 'TaskSucceeded']);
    start();
  });
});

describe('suspend', () => {
  test('holds a Task back until it is lifted', async () => {
    start();
    await create('a', 'true', { suspend: true });
    await waitingWith('a', 'Suspended: it runs when spec.suspend is false');
    await store.patch('Task', key('a'), { spec: { suspend: false } });
    expect((await ended('a')).status?.phase).toBe('Succeeded');
  });

  test('of a spawner says for whose slot it waits', async () => {
    start();
    const spawner = await store.create<'TaskSpawner'>(aSpawner('s'));
    const draft = shellTask('a', 'true', { suspend: true });
    await store.create<'Task'>({
      ...draft,
      metadata: { ...draft.metadata, ownerReferences: [ownedBy(spawner)] },
    });
    await waitingWith('a', 'Waiting for a free slot of TaskSpawner "s"');
  });
});

describe('dependencies', () => {
  test('let a Task go when they have succeeded, and fill in its prompt', async () => {
    start();
    await create('b', 'cat; exit 1', {
      dependsOn: ['a'],
      prompt: 'merge {{index .Deps "a" "Results" "branch"}}',
    });
    await waitingWith('b', 'Waiting for dependency "a" to be created');
    const a = await create(
      'a',
      `${untilTold}; printf -- '---KELOS_OUTPUTS_START---\\nbranch: x\\n---KELOS_OUTPUTS_END---\\n'`,
    );
    await waitingWith('b', 'Waiting for dependency "a"');
    await inPhase('a', 'Running');
    await writeFile(workFile(a, 'go'), '');
    expect((await ended('b')).status?.message).toBe('Task failed: program exited with status 1: merge x');
  });

  test('that failed fail the Task', async () => {
    start();
    await create('a', 'exit 1');
    await create('b', 'true', { dependsOn: ['a'] });
    await create('c', 'true', { dependsOn: ['b'] });
    expect((await ended('c')).status).toMatchObject({ phase: 'Failed', message: 'Dependency "b" failed' });
    expect((await ended('b')).status?.message).toBe('Dependency "a" failed');
  });

  test('a prompt that is no template is used as it stands', async () => {
    start();
    await create('a', 'true');
    await create('b', 'cat; exit 1', { dependsOn: ['a'], prompt: 'fix {{.Nothing}}' });
    expect((await ended('b')).status?.message).toContain('fix {{.Nothing}}');
  });

  test('in a circle are found', async () => {
    start();
    await create('a', 'true', { dependsOn: ['b'] });
    await waitingWith('a', 'Waiting for dependency "b" to be created');
    await create('b', 'true', { dependsOn: ['c'] });
    await waitingWith('b', 'Waiting for dependency "c" to be created');
    await create('c', 'true', { dependsOn: ['a'] });
    expect((await ended('c')).status?.message).toBe('Circular dependency detected: cycle involves "b"');
    expect((await ended('a')).status?.phase).toBe('Failed');
  });
});

test('a circle of Tasks that were held back is found when they are let go', async () => {
  start();
  await create('a', 'true', { dependsOn: ['b'], suspend: true });
  await create('b', 'true', { dependsOn: ['a'], suspend: true });
  await inPhase('a', 'Waiting');
  await inPhase('b', 'Waiting');
  for (const name of ['a', 'b']) await store.patch('Task', key(name), { spec: { suspend: false } });
  expect((await ended('a')).status?.phase).toBe('Failed');
  expect((await ended('b')).status?.phase).toBe('Failed');
});

describe('a branch', () => {
  test('is worked on by one Task at a time, the oldest first', async () => {
    start();
    const a = await create('a', untilTold, { branch: 'x' });
    await inPhase('a', 'Running');
    const c = await create('c', untilTold, { branch: 'x' });
    await waitingWith('c', 'Waiting for branch "x" (locked by a)');
    await create('d', 'true', { branch: 'x' });
    await waitingWith('d', 'Waiting for branch "x" (locked by a)');
    await create('other', 'true', { branch: 'y' });
    await ended('other');
    await writeFile(workFile(a, 'go'), '');
    await inPhase('c', 'Running');
    expect((await find('d'))?.status?.phase).toBe('Waiting');
    await writeFile(workFile(c, 'go'), '');
    expect((await ended('d')).status?.phase).toBe('Succeeded');
  });
});

describe('deletion', () => {
  test('of a running Task ends its program, writes Failed, and removes its folder', async () => {
    start();
    const draft = shellTask('a', 'trap "" TERM; touch up; while :; do sleep 0.05; done');
    const task = await store.create<'Task'>({
      ...draft,
      metadata: { ...draft.metadata, finalizers: [onCompletionFinalizer] },
    });
    await inPhase('a', 'Running');
    await store.delete('Task', key('a'));
    // The finalizer of the report room keeps it; that of this room goes once nothing is left of the run.
    const last = await until(
      store,
      'Task',
      key('a'),
      ({ metadata }) => metadata.finalizers?.includes(runFinalizer) === false,
    );
    expect(last.status).toMatchObject({ phase: 'Failed', message: 'Task was deleted while running' });
    await expect(access(join(workshop.directory, task.metadata.uid))).rejects.toThrow('ENOENT');
  });

  test('of a Task that never ran needs nobody', async () => {
    start();
    await create('a', 'true', { suspend: true });
    await inPhase('a', 'Waiting');
    await store.delete('Task', key('a'));
    await untilGone(store, 'Task', key('a'));
  });

  test('comes by itself when the time to live is over, but not before the hooks are recorded', async () => {
    const clock = new ManualClock(Date.now());
    start({}, clock);
    const draft = shellTask('a', 'true', { ttlSecondsAfterFinished: 60 });
    await store.create<'Task'>({
      ...draft,
      metadata: { ...draft.metadata, finalizers: [onCompletionFinalizer] },
    });
    await ended('a');
    clock.advance(120_000);
    await create('marker', 'true');
    await ended('marker');
    expect((await find('a'))?.metadata.deletionTimestamp).toBeUndefined();
    await store.patch('Task', key('a'), { metadata: { finalizers: [runFinalizer] } });
    await untilGone(store, 'Task', key('a'));
  });

  test('with a time to live of 0 comes at once', async () => {
    start();
    await create('a', 'true', { ttlSecondsAfterFinished: 0 });
    await untilGone(store, 'Task', key('a'));
  });
});

describe('an engine that comes after', () => {
  test('takes up what runs, and a Task that has ended is not run again', async () => {
    start();
    const a = await create('a', `echo once >> ../count; ${untilTold}; exit 5`);
    await inPhase('a', 'Running');
    await engine.stop();
    await writeFile(workFile(a, 'go'), '');
    start();
    expect((await ended('a')).status?.message).toContain('Task failed: program exited with status 5');
    await engine.stop();
    start();
    await create('b', 'true');
    await ended('b');
    const count = await readFile(join(workshop.directory, a.metadata.uid, 'count'), 'utf8');
    expect(count).toBe('once\n');
  });

  test('does not start anew what was started without having been written down', async () => {
    const a = await create('a', `echo once >> ../count; ${untilTold}`);
    const held = await store.patch('Task', key('a'), { metadata: { finalizers: [runFinalizer] } });
    await workshop.start(held);
    start();
    await inPhase('a', 'Running');
    await writeFile(workFile(a, 'go'), '');
    expect((await ended('a')).status?.phase).toBe('Succeeded');
    expect(await readFile(join(workshop.directory, a.metadata.uid, 'count'), 'utf8')).toBe('once\n');
  });

  test('fails a running Task of whose run there is no trace', async () => {
    start();
    const a = await create('a', 'true');
    await ended('a');
    await engine.stop();
    await store.patch(
      'Task',
      key('a'),
      { status: { phase: 'Running', completionTime: null } },
      { subresource: 'status' },
    );
    await rm(join(workshop.directory, a.metadata.uid), { recursive: true });
    start();
    expect((await ended('a')).status).toMatchObject({
      phase: 'Failed',
      message: expect.stringContaining('there is no trace of its run'),
    });
  });

  test('leaves alone the Tasks that Kelos runs', async () => {
    start();
    const draft = shellTask('kelos', 'true');
    await store.create<'Task'>({
      ...draft,
      metadata: { ...draft.metadata, finalizers: ['kelos.dev/finalizer'] },
    });
    await create('a', 'true');
    await ended('a');
    expect((await find('kelos'))?.status).toBeUndefined();
  });
});

function aSpawner(name: string): Draft<'TaskSpawner'> {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'TaskSpawner',
    metadata: { name, namespace: 'default' },
    spec: {
      when: { webhook: { source: 'ci', fieldMapping: { id: '$.id' } } },
      taskTemplate: { type: 'command', command: ['true'] },
    },
  };
}

function ownedBy({ metadata }: { metadata: { name: string; uid: string } }) {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'TaskSpawner',
    name: metadata.name,
    uid: metadata.uid,
    controller: true,
  };
}

/** Resolves when a folder is no longer there. */
async function goneFrom(folder: string, name: string): Promise<void> {
  while ((await readdir(folder)).includes(name)) await new Promise((resolve) => setTimeout(resolve, 10));
}
