import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Kind } from '../../src/api/kinds.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore } from '../../src/store/store.ts';
import { taskDraft } from './fixtures.ts';
import { House } from './house.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

it('what was read is sent no sooner than it says, although the watch does not know of that yet', async () => {
  const receiver = await house.receiver();
  receiver.answer = () => ({ status: 500 });
  let isBehind = false;
  let catchUp = (): void => {};
  const caughtUp = new Promise<void>((resolve) => (catchUp = resolve));
  let reads = 0;
  const methods: Partial<Record<keyof ResourceStore, (...args: never[]) => unknown>> = {
    async *watch(kind: Kind, options: Parameters<ResourceStore['watch']>[1]) {
      for await (const event of house.store.watch(kind, options)) {
        if (kind === 'Delivery' && isBehind) await caughtUp;
        yield event;
      }
    },
    async patch(kind: Kind, key: Key, ...rest: [never, never]) {
      if (kind !== 'Delivery' || isBehind) return house.store.patch(kind, key, ...rest);
      isBehind = true;
      await house.store.patch(kind, key, ...rest);
      // Nobody here learns of the version that was written.
      throw new StoreError('NotFound', 'the answer was another');
    },
    async get(kind: Kind, key: Key) {
      const found = await house.store.get(kind, key);
      if (kind === 'Delivery') reads += 1;
      return found;
    },
  };
  const store = new Proxy(house.store, {
    get: (target, name: keyof ResourceStore) => methods[name] ?? target[name].bind(target),
  });
  house.start({}, store);
  await house.store.create<'Task'>(taskDraft('x', [{ name: 'x', webhook: { url: receiver.url } }]));
  await house.setStatus('x', { phase: 'Failed', completionTime: '2026-01-02T03:04:00Z' });
  await house.delivery('x', ({ status }) => status?.phase === 'Retrying');
  while (reads === 0) await turn();
  receiver.answer = () => ({ status: 200 });
  expect(receiver.requests).toHaveLength(1);
  catchUp();
  house.clock.advance(5_500);
  const { status } = await house.delivery('x', ({ status: now }) => now?.phase === 'Delivered');
  expect(status?.attempts?.map(({ at }) => at)).toEqual([
    '2026-01-02T03:04:05.000Z',
    '2026-01-02T03:04:10.500Z',
  ]);
});
