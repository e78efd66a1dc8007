import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import { onCompletionFinalizer } from '../../src/api/names.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { createEngine, type Engine } from '../../src/engine.ts';
import { defaultBacklogMs } from '../../src/report/room.ts';
import { eventLifetimeMs, historyMs, historyRevisions } from '../../src/store/sqlite/compactor.ts';
import { taskDraft } from '../report/fixtures.ts';
import { House, keyIn } from '../report/house.ts';
import { untilGone } from '../support/until.ts';

/** Wall time that is set back and forth while real time goes on. */

const dayMs = 24 * 3_600_000;
const yearMs = 365 * dayMs;

let house: House;
let stops: (() => Promise<void>)[];
/** Messages of the engine's log, in order; `said` resolves with the n-th of one text. */
let messages: string[];
let onMessage: () => void;

beforeEach(async () => {
  house = await House.open();
  stops = [];
  messages = [];
  onMessage = () => {};
});
afterEach(async () => {
  for (const stop of stops) await stop();
  await house.close();
});

function start(): { readonly engine: Engine; stop(): Promise<void> } {
  const note = (message: string): void => {
    messages.push(message);
    onMessage();
  };
  const log: Logger = { ...silentLogger, info: note, warn: note, child: () => log };
  const { store, clock, guard } = house;
  const report = { guard, hookSecrets: 'any', backlogMs: defaultBacklogMs, version: '0.0.0' } as const;
  const engine = createEngine({ store, clock, log, spawn: false, run: undefined, report });
  const stopping = new AbortController();
  const ended = engine.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended;
  };
  stops.push(stop);
  return { engine, stop };
}

function said(text: string, times = 1): Promise<void> {
  return new Promise((resolve) => {
    onMessage = () => {
      if (messages.filter((message) => message === text).length >= times) resolve();
    };
    onMessage();
  });
}

function jump(ms: number): void {
  house.clock.setWall(house.clock.now() + ms);
}

const names = ['a', 'b', 'c'];

async function endTasks(url: string): Promise<void> {
  const completionTime = new Date(house.clock.now()).toISOString();
  for (const name of names) {
    await house.store.create<'Task'>(taskDraft(name, [{ name, webhook: { url } }]));
    await house.setStatus(name, { phase: 'Failed', completionTime });
  }
}

function all(condition: (delivery: Delivery) => boolean): Promise<readonly Delivery[]> {
  return Promise.all(names.map((name) => house.delivery(name, condition)));
}

const attempted =
  (count: number) =>
  ({ status }: Delivery): boolean =>
    status?.attemptCount === count;

describe.each([
  ['two days ahead', 2 * dayMs],
  ['a day back', -dayMs],
  ['ten years ahead', 10 * yearMs],
  ['ten years back', -10 * yearMs],
])('a clock that is set %s, and later right again', (_what, jumpMs) => {
  test('neither holds a Delivery up nor sends it more often; each attempt has the time of the clock', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 500 });
    const timestamps: number[] = [];
    start();
    await endTasks(`${receiver.url}/hook`);
    await all(attempted(1));
    timestamps.push(house.clock.now());
    jump(jumpMs);
    house.clock.advance(5_500);
    const retried = await all(attempted(2));
    timestamps.push(house.clock.now());
    for (const { status } of retried) {
      const aheadMs = Date.parse(status?.nextAttemptAt ?? '') - house.clock.now();
      expect(aheadMs).toBeGreaterThanOrEqual(30_000);
      expect(aheadMs).toBeLessThanOrEqual(33_000);
    }
    jump(-jumpMs);
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(33_000);
    const delivered = await all(({ status }) => status?.phase === 'Delivered');
    timestamps.push(house.clock.now());
    expect(delivered.map(({ status }) => status?.attemptCount)).toEqual([3, 3, 3]);
    expect(receiver.requests).toHaveLength(9);
    for (const request of receiver.requests) {
      const time = timestamps[Number(request.headers['telos-attempt']) - 1] ?? 0;
      expect(Math.abs(Number(request.headers['webhook-timestamp']) * 1000 - time)).toBeLessThan(40_000);
    }
  });

  test('and an engine that starts meanwhile: what waits is sent once, now or when it was due anyway', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 500 });
    const first = start();
    await endTasks(`${receiver.url}/hook`);
    await all(attempted(1));
    await first.stop();
    receiver.answer = () => ({ status: 200 });
    jump(jumpMs);
    await start().engine.started(new AbortController().signal);
    const isDelivered = ({ status }: Delivery): boolean => status?.phase === 'Delivered';
    // What another clock has written is due after the time that was meant; one that is ahead finds it due at once.
    house.clock.advance(5_500);
    await all(isDelivered);
    jump(-jumpMs);
    expect(receiver.requests).toHaveLength(6);
  });

  test('does not make a completion expire that was waited for', async () => {
    const receiver = await house.receiver();
    start();
    await house.store.create<'Task'>(
      taskDraft('a', [{ name: 'a', webhook: { url: `${receiver.url}/hook` } }]),
    );
    await house.task('a', ({ metadata }) => metadata.finalizers?.includes(onCompletionFinalizer) === true);
    const completionTime = new Date(house.clock.now()).toISOString();
    jump(jumpMs);
    await house.setStatus('a', { phase: 'Failed', completionTime });
    const { status } = await house.delivery('a', (delivery) => delivery.status?.settledAt !== undefined);
    expect(status).toMatchObject({ phase: 'Delivered' });
  });
});

test('nothing is removed on the word of a clock that has just been set; what is old by a steady one is', async () => {
  const receiver = await house.receiver();
  start();
  await endTasks(`${receiver.url}/hook`);
  await all(({ status }) => status?.phase === 'Delivered');
  jump(10 * yearMs);
  house.clock.advance(61_000);
  await said('the clock was set: old Deliveries are kept until it has been steady for a while');
  jump(-10 * yearMs);
  house.clock.advance(601_000);
  await said('the clock was set: old Deliveries are kept until it has been steady for a while', 2);
  expect(await house.deliveries()).toHaveLength(3);
  house.clock.advance(8 * dayMs);
  await Promise.all(
    (await house.deliveries()).map(({ metadata }) => untilGone(house.store, 'Delivery', metadata)),
  );
});

test('what was written while the clock was ahead does not keep history and Events from being cleared away', async () => {
  const { store, clock } = house;
  jump(10 * yearMs);
  await store.create<'Task'>(taskDraft('a', []));
  const { resourceVersion } = (await store.get('Task', keyIn('a'))).metadata;
  await store.create<'Event'>({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'ahead', namespace: 'default' },
    involvedObject: { kind: 'Task', name: 'a', namespace: 'default' },
    type: 'Normal',
    reason: 'Test',
    message: 'a message',
  });
  jump(-10 * yearMs);
  const touch = (text: string) =>
    store.patch('Task', keyIn('a'), { metadata: { annotations: { touched: text } } });
  for (let from = 0; from <= historyRevisions; from += 1000)
    await Promise.all(Array.from({ length: 1000 }, (_, index) => touch(`${from + index}`)));
  clock.advance(Math.max(historyMs, eventLifetimeMs) + 60_000);
  await untilGone(store, 'Event', keyIn('ahead'));
  for (let gone = false; !gone; clock.advance(20_000)) {
    await touch(`${clock.monotonic()}`);
    const probe = store.watch('Task', { resourceVersion })[Symbol.asyncIterator]();
    gone = await probe.next().then(
      () => false,
      ({ code }: { code: string }) => code === 'Gone',
    );
    await probe.return?.();
  }
});
