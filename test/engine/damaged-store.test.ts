import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildTelos } from '../support/telos-program.ts';
import { sendEvent } from './running-engine.ts';
import { Workplace } from './workplace.ts';

const pageSize = 8192;
/** Stands in the middle of a resource that fills many pages. */
const marker = 'right-in-the-middle';

let program: string;
let work: Workplace;
/** A store of some size, whole and closed. */
let path: string;

beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  work = await Workplace.open(program);
  path = join(work.sandbox.folder, 'other.db');
  await fillStore();
});
afterEach(() => work.close());

async function fillStore(): Promise<void> {
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  const filler = 'x'.repeat(50_000);
  const prompts = [...Array.from({ length: 40 }, () => 'short'), `${filler}${marker}${filler}`];
  await Promise.all(
    prompts.map((prompt, index) =>
      store.create<'Task'>({
        apiVersion: 'kelos.dev/v1alpha2',
        kind: 'Task',
        metadata: { name: `t${index}` },
        // The run room is off: nobody starts it.
        spec: { type: 'command', command: ['true'], prompt },
      }),
    ),
  );
  await store.close();
}

async function overwrite(position: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.sync();
  await file.close();
}

function withDatabase<T>(use: (database: Database.Database) => T): T {
  const database = new Database(path);
  try {
    return use(database);
  } finally {
    database.close();
  }
}

/** Each way to break a file, and what people are told. */
const damages: readonly (readonly [what: string, damage: () => Promise<unknown>, said: RegExp])[] = [
  ['an overwritten header', () => overwrite(0, Buffer.alloc(100, 0xee)), /beginning was overwritten.*backup/],
  ['overwritten pages', () => damagePages(), /it is damaged; restore it from a backup/],
  [
    'overwritten text',
    async () => overwrite((await readFile(path)).indexOf(marker), Buffer.from('"\n"')),
    /it is damaged; restore it from a backup/,
  ],
  ['a file cut short', () => truncate(path, 2 * pageSize), /it is damaged; restore it from a backup/],
  [
    "another program's database",
    async () => {
      await rm(path);
      withDatabase((database) => database.exec('CREATE TABLE theirs (a)'));
      await chmod(path, 0o600);
    },
    /belongs to another program; choose another path/,
  ],
  [
    'what a newer Telos wrote',
    async () => withDatabase((database) => database.pragma('user_version = 999')),
    /newer Telos .*upgrade Telos/,
  ],
  ['a text file', () => writeFile(path, 'shopping list\n'.repeat(100)), /not an SQLite database/],
  [
    'a log without its file',
    async () => {
      await writeFile(`${path}-wal`, await walOf());
      await truncate(path, 0);
    },
    /is empty or gone, but its log .*-wal is not; put the file back/,
  ],
];

/** The middle of the file, which is neither its header nor its schema. */
async function damagePages(): Promise<void> {
  const { size } = await stat(path);
  const from = Math.floor(size / pageSize / 3) * pageSize;
  await overwrite(from, Buffer.alloc(from, 0xee));
}

/** The log of a store that is at work. */
function walOf(): Promise<Buffer> {
  return readFile(`${work.sandbox.storePath}-wal`);
}

describe('a store that cannot be used', () => {
  test.each(damages)(
    '%s: one line says what, where and what to do, and the file stays as it is',
    async (_what, damage, said) => {
      await damage();
      const before = await readFile(path);
      const env = { TELOS_STORE: `sqlite:${path}` };
      const get = await work.sandbox.telos(['get', 'tasks', '-o', 'json'], { env });
      expect(get).toMatchObject({
        exitCode: 1,
        stdout: '',
        stderr: expect.stringMatching(/^error: [^\n]*\n$/),
      });
      expect(get.stderr).toMatch(said);
      expect(get.stderr).toContain(path);
      const doctor = await work.sandbox.telos(['doctor'], { env });
      expect(doctor.exitCode).toBe(1);
      expect(doctor.stdout).toMatch(new RegExp(`^fail {2}store: .*${said.source}`));
      const up = await work.refusedUp(path);
      expect(up).toMatch(/^error: /);
      expect(up).toMatch(said);
      expect((await readFile(path)).equals(before)).toBe(true);
    },
  );

  test('a folder: one line', async () => {
    const folder = join(work.sandbox.folder, 'folder.db');
    await mkdir(folder);
    expect(await work.refusedUp(folder)).toMatch(/^error: .*is a folder; name a file in it/);
  });

  test('a file that may not be written: it can be looked at, and no engine starts', async () => {
    await chmod(path, 0o444);
    await chmod(work.sandbox.folder, 0o777);
    const args = [program, 'up', '--store', `sqlite:${path}`, '--port', '0', '--report'];
    // For root there is no file that it may not write.
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const child = spawn(process.execPath, args, { ...nobody, env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [exitCode] = (await once(child, 'close')) as [number];
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error: .*it cannot be written \(EACCES\); give this user the right[^\n]*\n$/m);
  });
});

test('an empty file is a new store', async () => {
  await truncate(path, 0);
  const run = await work.sandbox.telos(['get', 'tasks'], { env: { TELOS_STORE: `sqlite:${path}` } });
  expect(run.exitCode).toBe(0);
});

test('a log that was cut short gives back all that was committed before the cut', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `w${index}`);
  for (const name of names) await work.endTasks([name], []);
  const copy = join(work.sandbox.folder, 'copy.db');
  await copyFile(work.sandbox.storePath, copy);
  await copyFile(`${work.sandbox.storePath}-wal`, `${copy}-wal`);
  const { size } = await stat(`${copy}-wal`);
  // Within the last write.
  await truncate(`${copy}-wal`, size - 100);
  const run = await work.sandbox.telos(['get', 'tasks', '-o', 'json'], {
    env: { TELOS_STORE: `sqlite:${copy}` },
  });
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  const { items } = JSON.parse(run.stdout) as {
    items: { metadata: { name: string }; status?: { phase: string } }[];
  };
  expect(new Set(items.map(({ metadata }) => metadata.name))).toEqual(new Set(names));
  // The one whose end was cut off has not ended; every other has.
  expect(items.filter(({ status }) => status?.phase === 'Failed')).toHaveLength(19);
});

test('a page that goes bad while the engine runs is told once, with the remedy, and the engine stays to tell it', async () => {
  const engine = await work.up(path, '--spawn', '--report');
  const root = withDatabase(
    (database) =>
      database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'revision'").pluck().get() as number,
  );
  await overwrite((root - 1) * pageSize, Buffer.alloc(pageSize, 0xee));
  // Another process writes, so that what the engine has in memory is out of date.
  withDatabase((database) =>
    database.exec("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'revision'"),
  );
  expect(await engine.logged('the store is in trouble')).toContain('it is damaged; restore it from a backup');
  const ready = await fetch(`${engine.url}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.text()).toContain('it is damaged; restore it from a backup');
  expect((await fetch(`${engine.url}/healthz`)).status).toBe(200);
  expect((await sendEvent(engine.url, 'ci', { id: '1' })).status).not.toBe(202);
  expect(engine.log.filter((line) => line.includes('the store is in trouble'))).toHaveLength(1);
  expect(await engine.stop()).toBe(0);
});
