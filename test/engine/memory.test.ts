import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Draft, Kind, Resource } from '../../src/api/kinds.ts';
import { type TaskSpec, terminalPhase } from '../../src/api/task.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import { createEngine, type Engine } from '../../src/engine.ts';
import { createShardedEngine } from '../../src/sharded-engine.ts';
import { StoreError } from '../../src/store/errors.ts';
import { type Informer, Informers } from '../../src/store/informer.ts';
import { leaseTiming, letGoMs } from '../../src/store/shards/lease.ts';
import type { ListOptions, ResourceStore, WatchEvent, WatchOptions } from '../../src/store/store.ts';
import type { View, ViewOptions } from '../../src/store/view.ts';
import { Workshop } from '../run/fixtures.ts';
import { spawnerDraft } from '../spawn/fixtures.ts';
import { ownerOf, taskDraft } from '../store/contract.ts';
import { LeaseWorld } from '../store/shards/lease-world.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until } from '../support/until.ts';

const promptBytes = 200_000;
const shared = { clock: systemClock, log: silentLogger };

let store: ResourceStore;
let workshop: Workshop;
let guard: EgressGuard;
let stop: AbortController;
let ending: (() => Promise<unknown>)[];

beforeEach(async () => {
  const temporary = await temporaryStore();
  store = temporary.store;
  workshop = await Workshop.open();
  guard = new EgressGuard(parseEgressPolicy({ allow: [], deny: [] }), { clock: systemClock });
  stop = new AbortController();
  ending = [temporary.close, () => workshop.close(), () => guard.close()];
});
afterEach(async () => {
  stop.abort();
  for (const end of ending.reverse()) await end();
});

/** Tasks that each room has something to do about, for as long as the test lasts. */
async function makeTasks(): Promise<void> {
  const hooks = JSON.stringify([{ name: 'all', webhook: { url: 'https://127.0.0.1:1/none' } }]);
  const spawner = await store.create<'TaskSpawner'>(spawnerDraft('s'));
  const make = async (name: string, spec: Partial<TaskSpec>, phase?: string): Promise<void> => {
    const annotations = { 'kelos.dev/on-completion': hooks, 'example.com/manifest': 'm'.repeat(50_000) };
    const draft = taskDraft({
      name,
      ...(spec.ttlSecondsAfterFinished ? {} : { annotations }),
      ...(spec.suspend ? {} : { ownerReferences: [{ ...ownerOf(spawner), controller: true }] }),
    });
    await store.create<'Task'>({
      ...draft,
      spec: { ...draft.spec, ...spec, prompt: 'p'.repeat(promptBytes) },
    });
    if (phase === undefined) return;
    const status = { phase, completionTime: new Date().toISOString() };
    await store.patch('Task', { namespace: 'default', name }, { status }, { subresource: 'status' });
  };
  await make('held', { suspend: true });
  await make('dependent', { dependsOn: ['held'] });
  await make('put-off', { credentials: { type: 'api-key', secretRef: { name: 'missing' } } });
  await make('unrecorded', {}, 'Succeeded');
  await make('expiring', { ttlSecondsAfterFinished: 3600 }, 'Succeeded');
}

/** The same store, in which nothing can be recorded, and which remembers the Tasks that it showed, weakly. */
function observed(): { readonly of: ResourceStore; readonly shown: WeakRef<object>[] } {
  const shown: WeakRef<object>[] = [];
  /** A copy, for the store has a cache of its own. */
  const see = <K extends Kind>(resource: Resource<K>): Resource<K> => {
    const copy = structuredClone(resource);
    if (copy.kind === 'Task' && copy.spec.prompt) shown.push(new WeakRef(copy.spec));
    return copy;
  };
  const calls = {
    async list<K extends Kind>(kind: K, options?: ListOptions) {
      const page = await store.list(kind, options);
      return { ...page, items: page.items.map(see) };
    },
    async *watch<K extends Kind>(kind: K, options: WatchOptions): AsyncGenerator<WatchEvent<K>> {
      for await (const event of store.watch(kind, options)) {
        yield event.type === 'BOOKMARK' ? event : { ...event, resource: see(event.resource) };
      }
    },
    async create<K extends Kind>(draft: Draft<K>): Promise<Resource<K>> {
      if (draft.kind === 'Delivery') throw new StoreError('Unavailable', 'not now');
      return store.create(draft);
    },
  };
  const of = new Proxy(store, {
    get(target, name) {
      const own: unknown = Reflect.get(name in calls ? calls : target, name);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
  return { of, shown };
}

function settings(of: ResourceStore) {
  const report = { guard, hookSecrets: 'any', backlogMs: 0, version: '0' } as const;
  return { ...shared, store: of, spawn: true, report };
}

async function run(engine: Engine): Promise<void> {
  const running = engine.run(stop.signal);
  ending.push(() => running);
  await engine.started(stop.signal);
  for (const name of ['held', 'dependent', 'put-off'])
    await until(store, 'Task', { namespace: 'default', name }, ({ status }) => status?.phase === 'Waiting');
}

/** Collects all garbage, in this thread. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

describe('what an engine keeps of Tasks with long prompts', () => {
  test('is little in the views of each room', async () => {
    await makeTasks();
    const views: View<unknown>[] = [];
    class SeenInformers extends Informers {
      override of<K extends Kind>(kind: K): Informer<Resource<K>> {
        const informer = super.of(kind);
        if (kind !== 'Task') return informer;
        const view = <T>(options: ViewOptions<Resource<K>, T>): View<T> => {
          const made = informer.view(options);
          views.push(made);
          return made;
        };
        return new Proxy(informer, {
          get(target, name) {
            const own: unknown = name === 'view' ? view : Reflect.get(target, name, target);
            return typeof own === 'function' ? own.bind(target) : own;
          },
        });
      }
    }
    const { of } = observed();
    const informers = new SeenInformers({ ...shared, store: of });
    await run(createEngine({ ...settings(of), informers, run: { runner: workshop.runner() } }));
    const kept = views.flatMap((view) => [...view.values()].map((value) => JSON.stringify(value)));
    // Those of spawn, of run (three that wait, one that expires), and of the recorder.
    expect(kept.length).toBeGreaterThanOrEqual(2 + 4 + 1);
    for (const text of kept) expect(text.length, text.slice(0, 200)).toBeLessThan(2_000);
  });

  test.each(['plain', 'sharded'])('is none of them whole: %s', async (kind) => {
    await makeTasks();
    const { of, shown } = observed();
    const runner = workshop.runner();
    if (kind === 'plain') await run(createEngine({ ...settings(of), run: { runner } }));
    else {
      const leases = new LeaseWorld();
      // Who was there before ended as planned.
      const letGo = { holder: undefined, durationMs: letGoMs, transitions: 0 };
      leases.write({ name: 'telos-shard-0', ...letGo });
      const sharding = { leases: leases.book, timing: leaseTiming(10_000), self: 'a', shards: 1 };
      await run(createShardedEngine({ ...settings(of), run: () => runner, sharding }));
    }
    // The last one that came may stay in a loop that waits for the next.
    await store.create<'Task'>(taskDraft({ name: 'last' }));
    await until(
      store,
      'Task',
      { namespace: 'default', name: 'last' },
      (task) => terminalPhase(task) !== undefined,
    );
    const collect = collector();
    expect(shown.length).toBeGreaterThan(5);
    await expect
      .poll(
        () => {
          collect();
          return shown.filter((reference) => reference.deref() !== undefined).length;
        },
        { timeout: 20_000 },
      )
      .toBe(0);
  });
});
