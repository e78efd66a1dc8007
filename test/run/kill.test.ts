import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Task } from '../../src/api/task.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { bundleProgram, ChildProgram } from '../support/child-program.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until, untilGone } from '../support/until.ts';
import { type RunningEngine, startEngine } from './engine.ts';
import { shellTask, Workshop } from './fixtures.ts';

let workshop: Workshop;
let temporary: Awaited<ReturnType<typeof temporaryStore>>;
let store: ResourceStore;
let child: ChildProgram;
let engine: RunningEngine | undefined;

const key = (name: string) => ({ namespace: 'default', name });
const ended = (name: string): Promise<Task> =>
  until(store, 'Task', key(name), ({ status }) => status?.completionTime !== undefined);

beforeEach(async () => {
  workshop = await Workshop.open();
  temporary = await temporaryStore();
  store = temporary.store;
  const program = await bundleProgram('test/run/engine-child.ts', workshop.directory);
  child = new ChildProgram(program, [temporary.path, workshop.directory, workshop.keeperPath]);
  expect(await child.line()).toBe('up');
});

afterEach(async () => {
  await child.kill();
  for (const { metadata } of (await store.list('Task')).items) {
    await store.delete('Task', metadata);
    await untilGone(store, 'Task', metadata);
  }
  await engine?.stop();
  await temporary.close();
  await workshop.close();
});

test('a program outlives the kill -9 of its engine, and the next one writes its true end', async () => {
  const script =
    'while [ ! -e go ]; do sleep 0.02; done; echo ---KELOS_OUTPUTS_START---; echo pr: 9; echo ---KELOS_OUTPUTS_END---; exit 7';
  await store.create<'Task'>(shellTask('a', script));
  await store.create<'Task'>(shellTask('b', 'while [ ! -e go ]; do sleep 0.02; done'));
  const a = await until(store, 'Task', key('a'), ({ status }) => status?.phase === 'Running');
  const b = await until(store, 'Task', key('b'), ({ status }) => status?.phase === 'Running');
  await child.kill();

  // One ends while nobody looks, the other when the next engine is there.
  await writeFile(join(workshop.directory, a.metadata.uid, 'work', 'go'), '');
  engine = startEngine(store, workshop.runner());
  expect((await ended('a')).status).toMatchObject({
    phase: 'Failed',
    message: 'Task failed: program exited with status 7',
    results: { pr: '9' },
    startTime: a.status?.startTime,
  });
  await writeFile(join(workshop.directory, b.metadata.uid, 'work', 'go'), '');
  expect((await ended('b')).status?.phase).toBe('Succeeded');
});

test('a kill -9 at any moment of starting leaves every Task to end once', async () => {
  const names = Array.from({ length: 12 }, (_, index) => `t${index}`);
  const first = until(store, 'Task', key('t0'), ({ status }) => status?.phase === 'Running');
  await Promise.all(
    names.map((name) =>
      store.create<'Task'>(shellTask(name, `echo once >> ${workshop.directory}/${name}; exit 0`)),
    ),
  );
  // In the middle: some run, some are being started, some have not been looked at.
  await first;
  await child.kill();
  engine = startEngine(store, workshop.runner());
  for (const name of names) expect((await ended(name)).status?.phase).toBe('Succeeded');
  const counts = await Promise.all(names.map((name) => readFile(join(workshop.directory, name), 'utf8')));
  expect(counts).toEqual(names.map(() => 'once\n'));
});
