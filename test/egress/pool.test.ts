import { expect, test } from 'vitest';
import type { Connection } from '../../src/egress/connection.ts';
import { ConnectionPool } from '../../src/egress/pool.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A connection without a socket. */
class Dry implements Connection {
  readonly address = '127.0.0.1:443';
  readonly openedAt: number;
  readonly target: Connection['target'];
  readonly #pool: ConnectionPool;
  isOpen = true;

  constructor(pool: ConnectionPool, clock: ManualClock, host: string) {
    this.#pool = pool;
    this.openedAt = clock.monotonic();
    this.target = { origin: `https://${host}`, host, isLiteral: false, port: 443, path: '/' };
    pool.add(this);
  }

  post(): Promise<never> {
    return Promise.reject(new Error('dry'));
  }

  async destroy(): Promise<void> {
    this.isOpen = false;
    this.#pool.forget(this);
  }
}

test('connections are kept idle for 256 in all, whatever their origins, and those idle longest go', () => {
  const clock = new ManualClock();
  const pool = new ConnectionPool(clock);
  const connections = Array.from({ length: 300 }, (_, index) => new Dry(pool, clock, `${index}.example`));
  for (const connection of connections) pool.giveBack(connection);
  expect(connections.map(({ isOpen }) => isOpen)).toEqual(connections.map((_, index) => index >= 44));
  expect(pool.take('https://43.example')).toBeUndefined();
  expect(pool.take('https://44.example')).toBe(connections[44]);
});

test('a connection that is under way is not among the idle ones', async () => {
  const clock = new ManualClock();
  const pool = new ConnectionPool(clock);
  const one = new Dry(pool, clock, 'a.example');
  expect(pool.take('https://a.example')).toBeUndefined();
  pool.giveBack(one);
  expect(pool.take('https://b.example')).toBeUndefined();
  expect(pool.take('https://a.example')).toBe(one);
  clock.advance(60_000);
  expect(one.isOpen).toBe(true);
  pool.giveBack(one);
  expect(one.isOpen).toBe(false);
});

test('nothing is kept of a pool that has closed, not even what is opened afterwards', async () => {
  const clock = new ManualClock();
  const pool = new ConnectionPool(clock);
  const early = new Dry(pool, clock, 'a.example');
  await pool.close();
  const late = new Dry(pool, clock, 'a.example');
  expect([early.isOpen, late.isOpen]).toEqual([false, false]);
  expect(clock.nextTimerMs).toBeUndefined();
});
