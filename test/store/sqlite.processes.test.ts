import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Draft } from '../../src/api/kinds.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { acquireEngineLock } from '../../src/store/sqlite/engine-lock.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { bundleProgram, ChildProgram, childEnvironment } from '../support/child-program.ts';
import { until, untilGone } from '../support/until.ts';
import { refused, taskDraft } from './contract.ts';

let programFolder: string;
let program: string;
let folder: string;
let path: string;
let store: ResourceStore | undefined;
const children: ChildProgram[] = [];

beforeAll(async () => {
  programFolder = await mkdtemp(join(tmpdir(), 'telos-program-'));
  program = await bundleProgram('test/store/child.ts', programFolder);
});
afterAll(() => rm(programFolder, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-processes-'));
  path = join(folder, 'telos.db');
});
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
  await store?.close();
  store = undefined;
  await rm(folder, { recursive: true, force: true });
});

function start(role: string, wrapper: readonly string[] = []): ChildProgram {
  const child = new ChildProgram(program, [path, role], wrapper);
  children.push(child);
  return child;
}

async function openStore(): Promise<ResourceStore> {
  store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  return store;
}

test('a watch sees what another process writes', async () => {
  const here = await openStore();
  const child = start('obey');
  expect(await child.line()).toBe('open');
  const key = { namespace: 'default', name: 'a' };
  const appeared = until(here, 'Task', key);
  child.say('create a');
  expect(await child.line()).toBe('ok');
  expect((await appeared).spec.command).toEqual(['true']);
  const gone = untilGone(here, 'Task', key);
  child.say('delete a');
  await gone;
});

test('a watch of a process that stood still while others wrote more than is kept is Gone: nothing is missed in silence', async () => {
  const here = await openStore();
  const secret = (name: string): Draft<'Secret'> => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
  });
  await here.create<'Task'>(taskDraft({ name: 'b' }));
  const { resourceVersion } = await here.list('Secret');
  const watch = here.watch('Secret', { resourceVersion })[Symbol.asyncIterator]();
  const first = watch.next();
  await here.create<'Secret'>(secret('a'));
  expect((await first).value).toMatchObject({ type: 'ADDED' });
  const next = watch.next();
  // The event loop of this process stands still meanwhile, as one does that got SIGSTOP.
  const other = spawnSync(process.execPath, [program, path, 'delete Secret a and age'], {
    encoding: 'utf8',
    env: childEnvironment,
  });
  expect([other.stdout, other.stderr]).toEqual(['aged\n', '']);
  await refused('Gone', next);
});

test('after kill -9 every acknowledged write is there, and each write whole', async () => {
  const child = start('write forever');
  expect(await child.line()).toBe('open');
  let acknowledged = -1;
  while (acknowledged < 20) acknowledged = Number(await child.line());
  const [, rest] = await Promise.all([child.kill(), child.lines()]);
  acknowledged = Number(rest.at(-1) ?? acknowledged);
  const page = await (await openStore()).list('Task');
  const names = new Set(page.items.map((item) => item.metadata.name));
  for (let index = 0; index <= acknowledged; index += 1) {
    for (const part of [0, 1, 2]) expect(names).toContain(`w${index}-${part}`);
  }
  // Handed over together, committed together: nothing or all of the last, unacknowledged group.
  expect(names.size % 3).toBe(0);
});

test('kill -9 frees the engine lock', async () => {
  const child = start('lock');
  expect(await child.line()).toBe(`locked by ${child.process.pid}`);
  const attempt = new Promise((resolve) => resolve(acquireEngineLock(path)));
  const error = await refused('Unavailable', attempt);
  expect(error.message).toContain(`process ${child.process.pid} since `);
  await child.kill();
  acquireEngineLock(path).release();
});

const hasLimits = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;

test.runIf(hasLimits)(
  'on a full disk writes are Unavailable with the remedy, reads go on, and so does writing once there is space',
  async () => {
    // The signal would end the process; a full disk sends none.
    const child = start('obey', ['bash', '-c', 'trap \'\' XFSZ; ulimit -S -f 400; exec "$@"', 'bash']);
    expect(await child.line()).toBe('open');
    child.say('create small 100');
    expect(await child.line()).toBe('ok');
    child.say('create big 900000');
    const refusal = await child.line();
    expect(refusal).toMatch(/^Unavailable: store .*(disk)/);
    expect(refusal).toContain(path);
    expect(spawnSync('prlimit', ['--pid', String(child.process.pid), '--fsize=unlimited:']).status).toBe(0);
    child.say('create big 200000');
    expect(await child.line()).toBe('ok');
    child.say('close');
    expect(await child.line()).toBe('ok');
    const page = await (await openStore()).list('Task');
    expect(page.items.map((item) => item.metadata.name)).toEqual(['big', 'small']);
    expect(page.items[0]?.spec.prompt).toHaveLength(200_000);
  },
);
