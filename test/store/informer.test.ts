import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Draft, Kind, Resource } from '../../src/api/kinds.ts';
import type { Task } from '../../src/api/task.ts';
import { abortable } from '../../src/base/abort.ts';
import { systemClock } from '../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { StoreError } from '../../src/store/errors.ts';
import { everyPage } from '../../src/store/every-page.ts';
import { Informer, Informers, kindSource, Reflectors } from '../../src/store/informer.ts';
import type { NamespaceAccess } from '../../src/store/namespace-access.ts';
import type { ListOptions, Page, ResourceStore, WatchEvent, WatchOptions } from '../../src/store/store.ts';
import type { View, ViewChange } from '../../src/store/view.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { taskDraft } from './contract.ts';

let store: ResourceStore;
let close: () => Promise<void>;
let abort: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  ({ store, close } = await temporaryStore());
  abort = new AbortController();
  setMaxListeners(0, abort.signal);
  running = Promise.resolve();
});
afterEach(async () => {
  abort.abort();
  await running;
  await close();
});

const key = (name: string): { namespace: string; name: string } => ({ namespace: 'default', name });
const create = (name: string, labels: Record<string, string> = {}): Promise<Resource<'Task'>> =>
  store.create<'Task'>(taskDraft({ name, labels }));
const phase = (name: string, value: string): Promise<unknown> =>
  store.patch('Task', key(name), { status: { phase: value } }, { subresource: 'status' });

/** A view of Task phases that remembers what it was told, and lets the test wait for the next telling. */
function phases(informer: Informer<Task>): {
  view: View<string>;
  told: string[];
  next(text: string): Promise<void>;
} {
  const told: string[] = [];
  let waiting: { text: string; resolve: () => void } | undefined;
  const view = informer.view<string>({
    select: (task) => (task.metadata.labels?.['hide'] === 'y' ? undefined : (task.status?.phase ?? 'none')),
    groupBy: (value) => value,
    onChange: (change: ViewChange<string>) => {
      told.push(`${change.key.name}: ${change.before ?? '-'} > ${change.now ?? '-'}`);
      if (waiting !== undefined && told.includes(waiting.text)) waiting.resolve();
    },
  });
  const next = (text: string): Promise<void> =>
    new Promise((resolve) => {
      if (told.includes(text)) resolve();
      else waiting = { text, resolve };
    });
  return { view, told, next };
}

function informerOf(of: ResourceStore, clock = systemClock, log: Logger = silentLogger): Informer<Task> {
  return new Informer(kindSource('Task', of), { clock, log });
}

describe('an informer', () => {
  test('shows what is there once it is synced, and what changes afterwards', async () => {
    await create('a');
    await phase('a', 'Running');
    const informer = informerOf(store);
    const { view, told, next } = phases(informer);
    expect(informer.isSynced).toBe(false);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    expect(informer.isSynced).toBe(true);
    expect([view.size, view.get(key('a')), [...view.values()]]).toEqual([1, 'Running', ['Running']]);
    await create('b');
    await phase('b', 'Failed');
    await next('b: none > Failed');
    await store.delete('Task', key('a'));
    await next('a: Running > -');
    expect([view.size, view.get(key('a')), view.get(key('b'))]).toEqual([1, undefined, 'Failed']);
    expect(told).toEqual(['a: - > Running', 'b: - > none', 'b: none > Failed', 'a: Running > -']);
  });

  test('keeps only what is selected, and tells when something comes into the selection or leaves it', async () => {
    await create('a');
    await create('h', { hide: 'y' });
    const informer = informerOf(store);
    const { view, told, next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    await store.patch('Task', key('h'), { metadata: { annotations: { x: '1' } } });
    await store.patch('Task', key('h'), { metadata: { labels: { hide: 'n' } } });
    await store.patch('Task', key('a'), { metadata: { labels: { hide: 'y' } } });
    await next('a: none > -');
    expect(view.size).toBe(1);
    expect(told).toEqual(['a: - > none', 'h: - > none', 'a: none > -']);
  });

  test('follows several namespaces, each for itself, and no other', async () => {
    const make = (namespace: string, name: string): Promise<unknown> =>
      store.create<'Task'>(taskDraft({ name, namespace }));
    await make('one', 'a');
    await make('two', 'b');
    await make('three', 'c');
    const faulty = new FaultyStore(store);
    const clock = new ManualClock();
    const namespaces = ['one', 'two'];
    const informer = new Informer(kindSource('Task', faulty), { namespaces, clock, log: silentLogger });
    const { told, next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    expect(told.toSorted()).toEqual(['a: - > none', 'b: - > none']);
    await make('three', 'd');
    await make('two', 'e');
    await next('e: - > none');
    // A fresh list of one namespace says nothing of the other's.
    faulty.failWatches(new StoreError('Gone', 'too old; list again'));
    await faulty.failed;
    await store.delete('Task', { namespace: 'one', name: 'a' });
    faulty.heal();
    clock.advance(200);
    await next('a: none > -');
    expect(told.slice(2)).toEqual(['e: - > none', 'a: none > -']);
  });

  test('groups entries, each in one group at a time', async () => {
    for (const name of ['a', 'b']) await create(name);
    const informer = informerOf(store);
    const { view, next } = phases(informer);
    running = informer.run(abort.signal);
    await phase('a', 'Running');
    await next('a: none > Running');
    expect([[...view.group('none')], [...view.group('Running')], [...view.group('other')]]).toEqual([
      ['none'],
      ['Running'],
      [],
    ]);
    await store.delete('Task', key('a'));
    await next('a: Running > -');
    expect([...view.group('Running')]).toEqual([]);
  });

  test('lists again when its version is Gone, and tells only what is different', async () => {
    await create('same');
    await create('goes');
    const faulty = new FaultyStore(store);
    const clock = new ManualClock();
    const informer = informerOf(faulty, clock);
    const { view, told, next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    faulty.failWatches(new StoreError('Gone', 'too old; list again'));
    await faulty.failed;
    await store.delete('Task', key('goes'));
    await create('comes');
    faulty.heal();
    clock.advance(200);
    await next('goes: none > -');
    await next('comes: - > none');
    expect(view.size).toBe(2);
    expect(told.filter((line) => line.startsWith('same'))).toEqual(['same: - > none']);
    expect(faulty.lists).toBe(2);
  });

  test('goes on from where it was when a watch fails otherwise', async () => {
    const faulty = new FaultyStore(store);
    const clock = new ManualClock();
    const informer = informerOf(faulty, clock);
    const { told, next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    faulty.failWatches(new StoreError('Unavailable', 'away'));
    await faulty.failed;
    await create('a');
    await phase('a', 'Running');
    faulty.heal();
    clock.advance(200);
    await next('a: none > Running');
    expect(told).toEqual(['a: - > none', 'a: none > Running']);
    expect(faulty.lists).toBe(1);
  });

  test('waits longer after each failure, and never stops trying', async () => {
    const clock = new ManualClock();
    const broken = new FaultyStore(store);
    broken.failLists(new StoreError('Unavailable', 'away'));
    const waits: number[] = [];
    const log: Logger = {
      ...silentLogger,
      warn: (_message, fields) => waits.push(Number(fields?.['delayMs'])),
    };
    const informer = informerOf(broken, clock, log);
    phases(informer);
    running = informer.run(abort.signal);
    for (let tries = 1; tries <= 12; tries += 1) {
      while (waits.length < tries) await new Promise((resolve) => setImmediate(resolve));
      clock.advance(40_000);
    }
    for (const [index, wait] of waits.slice(0, 12).entries()) {
      const base = Math.min(100 * 2 ** index, 30_000);
      expect(wait).toBeGreaterThanOrEqual(base);
      expect(wait).toBeLessThanOrEqual(base * 1.1 + 1);
    }
    broken.heal();
    await create('a');
    clock.advance(40_000);
    await informer.synced(abort.signal);
  });

  test('does not spin when watches end at once', async () => {
    const clock = new ManualClock();
    const faulty = new FaultyStore(store);
    faulty.endWatches();
    const informer = informerOf(faulty, clock);
    const { next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(faulty.watches).toBe(1);
    await create('a');
    faulty.heal();
    clock.advance(200);
    await next('a: - > none');
  });

  test('begins a watch that was held for a while and brought nothing anew at once, however often', async () => {
    const clock = new ManualClock();
    const faulty = new FaultyStore(store);
    const informer = informerOf(faulty, clock);
    phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    for (let watches = 1; watches <= 10; watches += 1) {
      while (faulty.watches < watches) await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1000);
      faulty.cutWatches();
      while (clock.nextTimerMs === undefined) await new Promise((resolve) => setImmediate(resolve));
      expect(clock.nextTimerMs).toBeLessThanOrEqual(110);
      clock.advance(110);
    }
  });

  test('passes over a resource that a view cannot read, and says so', async () => {
    await create('bad');
    await create('good');
    const lines: unknown[] = [];
    const log: Logger = { ...silentLogger, error: (message, fields) => lines.push({ message, ...fields }) };
    const informer = informerOf(store, systemClock, log);
    const view = informer.view<string>({
      select: (task) => {
        if (task.metadata.name === 'bad') throw new Error('unreadable');
        return task.metadata.name;
      },
    });
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    expect([...view.values()]).toEqual(['good']);
    expect(lines).toEqual([
      { message: 'a view failed', kind: 'Task', key: 'default/bad', error: 'unreadable' },
    ]);
  });

  test('lists many in pages', async () => {
    await Promise.all(Array.from({ length: 1203 }, (_, index) => create(`t${index}`)));
    const counted = new FaultyStore(store);
    const informer = informerOf(counted);
    const { view } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    expect(view.size).toBe(1203);
    expect(counted.lists).toBe(3);
  });

  test('takes no view once it runs', async () => {
    const informer = informerOf(store);
    running = informer.run(abort.signal);
    expect(() => phases(informer)).toThrow('add views before run()');
  });

  test('waiting for the first list can be given up', async () => {
    const reason = new Error('enough');
    await expect(informerOf(store).synced(AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('an informer of namespaces that may be closed', () => {
  /** Namespaces that are closed, and what waits for that to change. */
  function gate(): { readonly access: NamespaceAccess; set(namespace: string, isOpen: boolean): void } {
    const closed = new Set<string>();
    const waiting = new Set<() => void>();
    return {
      access: {
        stateOf: (namespace) => (closed.has(namespace) ? 'closed' : 'open'),
        changed: (_namespace, signal) =>
          abortable(new Promise<void>((resolve) => void waiting.add(resolve)), signal),
      },
      set(namespace, isOpen) {
        if (isOpen) closed.delete(namespace);
        else closed.add(namespace);
        for (const resolve of waiting) resolve();
        waiting.clear();
      },
    };
  }
  const make = (namespace: string, name: string): Promise<unknown> =>
    store.create<'Task'>(taskDraft({ name, namespace }));

  test('asks nothing of one that is closed, waits for the others only, and lists it when it opens', async () => {
    for (const namespace of ['a', 'b']) await make(namespace, 'there');
    const { access, set } = gate();
    set('b', false);
    const counted = new FaultyStore(store);
    const namespaces = ['a', 'b'];
    const informer = new Informer(kindSource('Task', counted), {
      clock: systemClock,
      log: silentLogger,
      namespaces,
      access,
    });
    const { view, next } = phases(informer);
    running = informer.run(abort.signal);
    await informer.synced(abort.signal);
    expect([view.size, counted.lists]).toEqual([1, 1]);
    await make('b', 'new');
    set('b', true);
    // Until it is listed, whoever looks must wait.
    await new Promise((resolve) => setImmediate(resolve));
    await informer.synced(abort.signal);
    await next('new: - > none');
    expect([view.size, informer.isSynced, counted.lists]).toEqual([3, true, 2]);
  });

  test('pages through those that are open', async () => {
    for (const namespace of ['a', 'b']) await make(namespace, 'there');
    const { access, set } = gate();
    set('a', false);
    const seen: string[] = [];
    const options = { namespaces: ['a', 'b'], access, limit: 10, signal: abort.signal };
    for await (const page of everyPage(store, 'Task', options))
      seen.push(...page.map(({ metadata }) => metadata.namespace));
    expect(seen).toEqual(['b']);
  });
});

describe('informers', () => {
  test('are one per kind, run together, and are synced when all are', async () => {
    const informers = new Informers({ store, clock: systemClock, log: silentLogger });
    expect(informers.of('Task')).toBe(informers.of('Task'));
    const tasks = informers.of('Task').view({ select: (task) => task.metadata.name });
    const secrets = informers.of('Secret').view({ select: (secret) => secret.metadata.name });
    await create('a');
    const secret: Draft<'Secret'> = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } };
    await store.create<'Secret'>(secret);
    expect(informers.areSynced).toBe(false);
    running = informers.run(abort.signal);
    await informers.synced(abort.signal);
    expect(informers.areSynced).toBe(true);
    expect([[...tasks.values()], [...secrets.values()]]).toEqual([['a'], ['s']]);
    expect(() => informers.of('Workspace')).toThrow('ask for it before run()');
  });
});

describe('informers that share what follows the store', () => {
  const make = (namespace: string, name: string): Promise<unknown> =>
    store.create<'Task'>(taskDraft({ name, namespace }));

  function sharing(counted: FaultyStore): (namespace: string) => Informer<Task> {
    const options = { clock: systemClock, log: silentLogger };
    const reflectors = new Reflectors(counted, options);
    return (namespace) => {
      const shared = { reflectors, concerns: (name: string) => name === namespace };
      return new Informers({ ...options, store: counted, shared }).of('Task');
    };
  }

  test('cost one watch, however many they are, and each shows its own', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `team-${index}`);
    for (const name of names) await make(name, 'there');
    const counted = new FaultyStore(store);
    const of = sharing(counted);
    const informers = names.map(of);
    const seen = informers.map(phases);
    running = Promise.all(informers.map((informer) => informer.run(abort.signal))).then(() => {});
    await Promise.all(informers.map((informer) => informer.synced(abort.signal)));
    expect(seen.map(({ view }) => view.size)).toEqual(names.map(() => 1));
    for (const name of names) await make(name, 'new');
    await Promise.all(seen.map(({ next }) => next('new: - > none')));
    expect(seen.map(({ told }) => told)).toEqual(names.map(() => ['there: - > none', 'new: - > none']));
    expect(counted.openWatches).toBe(1);
  });

  test('show whoever comes later a list of its own time, and tell the others nothing twice', async () => {
    await make('one', 'a');
    await make('two', 'b');
    const counted = new FaultyStore(store);
    const of = sharing(counted);
    const [first, second] = [of('one'), of('two')];
    const [early, late] = [phases(first), phases(second)];
    const followed = first.run(abort.signal);
    await first.synced(abort.signal);
    // What happened just before it came must be in what it is shown first.
    await make('two', 'c');
    running = Promise.all([followed, second.run(abort.signal)]).then(() => {});
    expect(second.isSynced).toBe(false);
    await second.synced(abort.signal);
    expect(late.told).toEqual(['b: - > none', 'c: - > none']);
    await make('one', 'd');
    await early.next('d: - > none');
    expect(early.told).toEqual(['a: - > none', 'd: - > none']);
    expect(counted.openWatches).toBe(1);
  });

  test('leave no watch behind when the last one goes, and begin anew when one comes', async () => {
    await make('one', 'a');
    const counted = new FaultyStore(store);
    const of = sharing(counted);
    const leave = new AbortController();
    const first = of('one');
    const followed = first.run(leave.signal);
    await first.synced(abort.signal);
    leave.abort();
    await followed;
    expect(counted.openWatches).toBe(0);
    const again = of('one');
    const { told } = phases(again);
    running = again.run(abort.signal);
    await again.synced(abort.signal);
    expect(told).toEqual(['a: - > none']);
  });
});

/** A store that can be made to fail in what informers use of it; otherwise the real one. */
class FaultyStore implements ResourceStore {
  readonly #store: ResourceStore;
  lists = 0;
  watches = 0;
  openWatches = 0;
  /** Resolves when the failure was handed to a watcher. */
  failed: Promise<void> = Promise.resolve();
  #listFailure: Error | undefined;
  #watchFailure: Error | 'end' | undefined;
  #interrupt = new AbortController();
  #handed: () => void = () => {};

  constructor(store: ResourceStore) {
    this.#store = store;
  }

  /** Ends the watches under way, and those to come, with an error. */
  failWatches(error: Error): void {
    this.#watchFailure = error;
    this.failed = new Promise((resolve) => {
      this.#handed = resolve;
    });
    this.#interrupt.abort();
  }

  /** Ends the watches under way. */
  cutWatches(): void {
    this.#interrupt.abort();
    this.#interrupt = new AbortController();
  }

  endWatches(): void {
    this.#watchFailure = 'end';
  }

  failLists(error: Error): void {
    this.#listFailure = error;
  }

  heal(): void {
    this.#listFailure = undefined;
    this.#watchFailure = undefined;
    this.#interrupt = new AbortController();
  }

  list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<K>> {
    this.lists += 1;
    return this.#listFailure === undefined
      ? this.#store.list(kind, options)
      : Promise.reject(this.#listFailure);
  }

  async *watch<K extends Kind>(kind: K, options: WatchOptions): AsyncIterable<WatchEvent<K>> {
    this.watches += 1;
    const signals = [this.#interrupt.signal, ...(options.signal === undefined ? [] : [options.signal])];
    if (this.#watchFailure === undefined) {
      this.openWatches += 1;
      try {
        yield* this.#store.watch(kind, { ...options, signal: AbortSignal.any(signals) });
      } finally {
        this.openWatches -= 1;
      }
    }
    if (this.#watchFailure instanceof Error) {
      this.#handed();
      throw this.#watchFailure;
    }
  }

  get: ResourceStore['get'] = (...args) => this.#store.get(...args);
  create: ResourceStore['create'] = (...args) => this.#store.create(...args);
  update: ResourceStore['update'] = (...args) => this.#store.update(...args);
  patch: ResourceStore['patch'] = (...args) => this.#store.patch(...args);
  delete: ResourceStore['delete'] = (...args) => this.#store.delete(...args);
  ping: ResourceStore['ping'] = (...args) => this.#store.ping(...args);
  close: ResourceStore['close'] = () => this.#store.close();
}
