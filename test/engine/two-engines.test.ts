import { link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { bindMount, canMount, type Mounted } from '../support/mount.ts';
import { buildTelos } from '../support/telos-program.ts';
import { ledger, Workplace } from './workplace.ts';

let program: string;
let work: Workplace;
const mounts: Mounted[] = [];

beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  work = await Workplace.open(program);
});
afterEach(async () => {
  for (const mount of mounts.splice(0)) mount.release();
  await work.close();
});

test('of two engines on one file one works, under whatever name the other knows the file', async () => {
  const receiver = await work.receiver();
  const first = await work.up();
  const { folder, storePath } = work.sandbox;
  const other = join(folder, 'other');
  await mkdir(other);
  await symlink(storePath, join(other, 'link.db'));
  await symlink(folder, join(other, 'folder'));
  const held = new RegExp(`^error: .*another engine \\(process ${first.pid} since .*stop that one`);
  const names = [
    storePath,
    relative(process.cwd(), storePath),
    join(other, 'link.db'),
    join(other, 'folder', basename(storePath)),
  ];
  for (const said of await Promise.all(names.map((name) => work.refusedUp(name)))) expect(said).toMatch(held);

  await work.endTasks(['a', 'b', 'c'], [{ name: 'all', url: `${receiver.origin}/` }]);
  await work.until(3);
  expect([...ledger([receiver]).values()].map((bodies) => bodies.length)).toEqual([1, 1, 1]);
});

test('a second name that SQLite could not tell from another file is refused, engine or not', async () => {
  const { folder, storePath } = work.sandbox;
  const hard = join(folder, 'hard.db');
  await link(storePath, hard);
  for (const said of await Promise.all([storePath, hard].map((path) => work.refusedUp(path))))
    expect(said).toMatch(/^error: .*has 2 names \(hard links\).*remove/);
  const run = await work.sandbox.telos(['get', 'tasks'], { env: { TELOS_STORE: `sqlite:${hard}` } });
  expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('hard links') });
});

test.runIf(canMount)(
  'a folder that is mounted twice is one store; a file that is mounted alone is refused',
  async () => {
    const { folder, storePath } = work.sandbox;
    const twin = join(folder, 'twin');
    const alone = join(folder, 'alone.db');
    await mkdir(twin);
    await writeFile(alone, '');
    mounts.push(bindMount(dirname(storePath), twin));
    mounts.push(bindMount(storePath, alone));
    const first = await work.up();
    expect(await work.refusedUp(join(twin, basename(storePath)))).toContain(
      `another engine (process ${first.pid}`,
    );
    expect(await work.refusedUp(alone)).toMatch(/^error: .*mounted by itself.*mount its folder/);
  },
);

test('an engine that is stopped keeps its right: the second refuses, and the first goes on when it is woken', async () => {
  const receiver = await work.receiver();
  const first = await work.up();
  first.signal('SIGSTOP');
  await work.endTasks(['a', 'b'], [{ name: 'all', url: `${receiver.origin}/` }]);
  expect(await work.refusedUp(work.sandbox.storePath)).toContain(`another engine (process ${first.pid}`);
  expect(receiver.accepts).toBe(0);
  first.signal('SIGCONT');
  await work.until(2);
  expect([...ledger([receiver]).values()].map((bodies) => bodies.length)).toEqual([1, 1]);
  // And when it is gone the next one may.
  await first.kill();
  await work.up();
});
