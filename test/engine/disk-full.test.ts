import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { canMount, type Mounted, smallDisk } from '../support/mount.ts';
import { buildTelos } from '../support/telos-program.ts';
import { until } from '../support/until.ts';
import { type RunningEngine, sendEvent } from './running-engine.ts';
import { ledger, Workplace } from './workplace.ts';

let program: string;
let work: Workplace;

beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  work = await Workplace.open(program);
});
afterEach(() => work.close());

const spawner = `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: build}
spec:
  when: {webhook: {source: ci, fieldMapping: {id: $.id, title: $.title}}}
  taskTemplate: {type: command, command: ["true"]}
`;

async function readiness({ url }: RunningEngine): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

async function gauge({ url }: RunningEngine): Promise<string | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return /^telos_store_available (.*)$/m.exec(text)?.[1];
}

/** Lines that somebody who reads the log is shown about the store. */
function complaints({ log }: RunningEngine): readonly string[] {
  return log.filter((line) => line.includes('the store is in trouble'));
}

const hasLimits = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;

test.runIf(hasLimits)(
  'an engine that may not write holds what completes, sends nothing that is not recorded, says so once, and goes on by itself',
  async () => {
    const receiver = await work.receiver();
    const { store, storePath } = work.sandbox;
    const manifest = await work.sandbox.file('spawner.yaml', spawner);
    const engine = await work.up(storePath, '--spawn', '--report', '--file', manifest);
    await until(
      store,
      'TaskSpawner',
      { namespace: 'default', name: 'build' },
      (it) => it.status?.phase === 'Running',
    );
    const limit = (bytes: string) =>
      expect(spawnSync('prlimit', ['--pid', `${engine.pid}`, `--fsize=${bytes}:`]).status).toBe(0);
    // Not a byte more than there is.
    limit(`${statSync(`${storePath}-wal`).size}`);

    await work.endTasks(['a', 'b', 'c'], [{ name: 'all', url: `${receiver.origin}/` }]);
    await engine.logged('the store is in trouble');
    const refused = [
      await sendEvent(engine.url, 'ci', { id: '1' }),
      await sendEvent(engine.url, 'ci', { id: '2' }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([503, 503]);
    const unready = await readiness(engine);
    expect(unready).toMatchObject({
      status: 503,
      text: expect.stringContaining('see that the disk has space'),
    });
    expect(await gauge(engine)).toBe('0');
    expect((await fetch(`${engine.url}/healthz`)).status).toBe(200);
    expect(receiver.accepts).toBe(0);
    expect(await work.deliveries()).toEqual([]);
    expect(complaints(engine)).toHaveLength(1);

    limit('unlimited');
    const deliveries = await work.until(3);
    expect(deliveries.every(({ status }) => status?.phase === 'Delivered')).toBe(true);
    await engine.logged('the store is well again');
    expect(await readiness(engine)).toMatchObject({ status: 200 });
    expect(await gauge(engine)).toBe('1');
    expect((await sendEvent(engine.url, 'ci', { id: '1' })).status).toBe(202);
    expect([...ledger([receiver]).values()].map((bodies) => bodies.length)).toEqual([1, 1, 1]);
    expect(complaints(engine)).toHaveLength(1);
  },
);

/** A small disk with a store on it. */
class FullDisk {
  readonly path: string;
  readonly store: ResourceStore;
  readonly #folder: string;
  readonly #mounted: Mounted;

  private constructor(folder: string, mounted: Mounted, path: string, store: ResourceStore) {
    this.#folder = folder;
    this.#mounted = mounted;
    this.path = path;
    this.store = store;
  }

  static async open(): Promise<FullDisk> {
    const folder = join(work.sandbox.folder, 'disk');
    mkdirSync(folder);
    const mounted = smallDisk(folder, 4 * 1024 * 1024);
    const path = join(folder, 'telos.db');
    const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
    return new FullDisk(folder, mounted, path, store);
  }

  fill(): void {
    const file = openSync(join(this.#folder, 'filler'), 'a');
    const page = Buffer.alloc(4096);
    try {
      for (;;) writeSync(file, page);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
    } finally {
      fsyncSync(file);
      closeSync(file);
    }
  }

  free(): void {
    rmSync(join(this.#folder, 'filler'));
  }

  async close(): Promise<void> {
    await this.store.close();
    this.#mounted.release();
  }
}

test.runIf(canMount)(
  'a disk that is full while answers come: each attempt is written when there is room, and made again only after a kill',
  async () => {
    const disk = await FullDisk.open();
    try {
      const held: ServerResponse[] = [];
      const receiver = await work.receiver({ answer: (_request, response) => held.push(response) });
      const hooks = [{ name: 'all', url: `${receiver.origin}/` }];
      const first = await work.up(disk.path);
      await work.endTasks(['a', 'b', 'c'], hooks, disk.store);
      await receiver.received(3);
      disk.fill();
      for (const response of held.splice(0)) response.end();
      await first.logged('the store is in trouble');
      expect(await readiness(first)).toMatchObject({
        status: 503,
        text: expect.stringContaining('free some space'),
      });

      const env = { TELOS_STORE: `sqlite:${disk.path}` };
      const manifest = await work.sandbox.file('spawner.yaml', spawner);
      const apply = await work.sandbox.telos(['apply', '-f', manifest], { env });
      expect(apply).toMatchObject({ exitCode: 1, stdout: '' });
      expect(apply.stderr).toMatch(/^error: .*the disk is full; free some space[^\n]*\n$/);
      expect(await work.sandbox.telos(['get', 'tasks'], { env })).toMatchObject({ exitCode: 0 });

      disk.free();
      const written = await work.until(3, undefined, disk.store);
      expect(written.every(({ status }) => status?.phase === 'Delivered' && status.attemptCount === 1)).toBe(
        true,
      );
      expect(receiver.requests).toHaveLength(3);

      await work.endTasks(['d'], hooks, disk.store);
      await receiver.received(4);
      disk.fill();
      for (const response of held.splice(0)) response.end();
      await first.logged('the store is in trouble');
      await first.kill();
      expect(await work.refusedUp(disk.path)).toMatch(/^error: .*the disk is full; free some space/);
      disk.free();
      await work.up(disk.path);
      await receiver.received(5);
      for (const response of held.splice(0)) response.end();
      await work.until(4, undefined, disk.store);
      const messages = ledger([receiver]);
      expect([...messages.values()].map((bodies) => bodies.length).sort()).toEqual([1, 1, 1, 2]);
      for (const bodies of messages.values()) expect(new Set(bodies).size).toBe(1);
    } finally {
      await work.stopEngines();
      await disk.close();
    }
  },
);
