import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Kind } from '../../src/api/kinds.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import type { Engine } from '../../src/engine.ts';
import { createShardedEngine } from '../../src/sharded-engine.ts';
import { assignShards, shardOf } from '../../src/store/shards/assign-shards.ts';
import { leaseTiming, letGoMs } from '../../src/store/shards/lease.ts';
import type { ResourceStore, WatchEvent, WatchOptions } from '../../src/store/store.ts';
import { deliveryOf } from '../report/fixtures.ts';
import { spawnerDraft } from '../spawn/fixtures.ts';
import { taskDraft } from '../store/contract.ts';
import { LeaseWorld } from '../store/shards/lease-world.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until, untilGone } from '../support/until.ts';

let store: ResourceStore;
let closeStore: () => Promise<void>;
let guard: EgressGuard;
let leases: LeaseWorld;
let ending: AbortController;
let running: Promise<unknown>[];

beforeEach(async () => {
  ({ store, close: closeStore } = await temporaryStore());
  guard = new EgressGuard(parseEgressPolicy({ allow: [], deny: [] }), { clock: systemClock });
  leases = new LeaseWorld();
  ending = new AbortController();
  running = [];
});
afterEach(async () => {
  ending.abort();
  await Promise.all(running);
  await guard.close();
  await closeStore();
});

interface ReplicaOptions {
  readonly of?: ResourceStore;
  readonly shards: number;
  readonly clock?: Clock;
  readonly spawn?: boolean;
  readonly signal?: AbortSignal;
}

/** Runs a replica over the store and the Leases that all share. */
function replica(
  self: string,
  { of = store, shards, clock = systemClock, spawn = false, signal = ending.signal }: ReplicaOptions,
): Engine {
  const engine = createShardedEngine({
    store: of,
    clock,
    log: silentLogger,
    spawn,
    run: undefined,
    report: { guard, hookSecrets: 'any', backlogMs: 0, version: '0' },
    sharding: { leases: leases.book, timing: leaseTiming(10_000), self, shards },
  });
  // Those who were there before ended as planned.
  for (let shard = 0; shard < shards && leases.leases.size < shards; shard += 1) {
    const letGo = { holder: undefined, durationMs: letGoMs, transitions: 0 };
    leases.write({ name: `telos-shard-${shard}`, ...letGo });
  }
  running.push(engine.run(signal));
  return engine;
}

/** The same store, which tells how many watches of each kind are open, and how often old Deliveries were looked for. */
function counted(): {
  readonly of: ResourceStore;
  readonly open: Readonly<Record<string, number>>;
  readonly sweeps: () => number;
} {
  let sweeps = 0;
  const open: Record<string, number> = {};
  async function* watch(kind: Kind, options: WatchOptions): AsyncIterable<WatchEvent<Kind>> {
    open[kind] = (open[kind] ?? 0) + 1;
    try {
      yield* store.watch(kind, options);
    } finally {
      open[kind] -= 1;
    }
  }
  const list: ResourceStore['list'] = (kind, options) => {
    // Pages of another size are those of who follows.
    if (kind === 'Delivery' && options?.limit === 200) sweeps += 1;
    return store.list(kind, options);
  };
  const of = new Proxy(store, {
    get(target, name) {
      if (name === 'watch') return watch;
      if (name === 'list') return list;
      const own: unknown = Reflect.get(target, name);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
  return { of, open, sweeps: () => sweeps };
}

describe('replicas that share the work', () => {
  test('follow each kind once, however many shards they hold, and tell the hooks of all', async () => {
    const shards = 8;
    const { of, open } = counted();
    const engine = replica('a', { of, shards });
    await engine.started(ending.signal);
    await expect.poll(() => open).toEqual({ Task: 1, Delivery: 1 });
    const namespaces = Array.from({ length: 40 }, (_, index) => `team-${index}`);
    expect(new Set(namespaces.map((name) => shardOf(name, shards))).size).toBe(shards);
    for (const namespace of namespaces) {
      const hooks = [{ name: 'oncall', webhook: { url: 'https://127.0.0.1:1/none' } }];
      const annotations = { 'kelos.dev/on-completion': JSON.stringify(hooks) };
      const task = await store.create<'Task'>(taskDraft({ name: 'job', namespace, annotations }));
      await store.patch('Task', task.metadata, { status: { phase: 'Failed' } }, { subresource: 'status' });
    }
    for (const namespace of namespaces) {
      const marked = 'kelos.dev/webhook-report-phase';
      await until(store, 'Task', { namespace, name: 'job' }, ({ metadata }) =>
        Boolean(metadata.annotations?.[marked]),
      );
    }
    expect(open).toEqual({ Task: 1, Delivery: 1 });
    expect((await store.list('Delivery')).items.length).toBe(namespaces.length);
  });

  test('look once for what was kept long enough, and remove it in all shards', async () => {
    const shards = 4;
    const names = Array.from({ length: 20 }, (_, index) => `team-${index}`);
    expect(new Set(names.map((name) => shardOf(name, shards))).size).toBe(shards);
    const keys = names.map((namespace) => ({ namespace, name: 'old' }));
    for (const key of keys) {
      const { apiVersion, spec } = deliveryOf();
      await store.create<'Delivery'>({ apiVersion, kind: 'Delivery', metadata: key, spec });
      await store.patch('Delivery', key, { status: { phase: 'Skipped' } }, { subresource: 'status' });
    }
    // Half a day after their time is over; what comes after a minute comes at once.
    const clock: Clock = {
      ...systemClock,
      now: () => Date.now() + 7.5 * 24 * 3_600_000,
      after: (ms, fire) => systemClock.after(ms === 60_000 ? 50 : ms, fire),
    };
    const { of, sweeps } = counted();
    replica('a', { of, shards, clock });
    await Promise.all(keys.map((key) => untilGone(store, 'Delivery', key)));
    expect(sweeps()).toBe(1);
  });

  test('take an event that comes too early when the one before has ended', async () => {
    await store.create<'TaskSpawner'>(spawnerDraft('s'));
    const [winner] = assignShards(1, ['a', 'b']);
    const stop = new AbortController();
    const first = replica(winner ?? 'a', { shards: 1, spawn: true, signal: stop.signal });
    await first.started(ending.signal);
    const second = replica(winner === 'a' ? 'b' : 'a', { shards: 1, spawn: true });
    await second.started(ending.signal);
    const event = {
      source: 'ci',
      headers: new Headers(),
      body: Buffer.from(JSON.stringify({ id: '7', title: 'red' })),
    };
    const answer = second.ingest?.(event, ending.signal);
    stop.abort();
    expect(await answer).toMatchObject({ status: 202, body: { results: [{ outcome: 'created' }] } });
  });
});
