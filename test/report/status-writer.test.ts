import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { StatusPatch } from '../../src/report/decide-delivery.ts';
import { writeStatus } from '../../src/report/status-writer.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { deliveryOf } from './fixtures.ts';

const clock = new ManualClock();
let opened: Awaited<ReturnType<typeof temporaryStore>>;
beforeEach(async () => {
  opened = await temporaryStore({ clock });
});
afterEach(() => opened.close());

/** A store that does the first write and loses its answer. */
function losesFirstAnswer(): ResourceStore {
  let writes = 0;
  return new Proxy(opened.store, {
    get(target, name: keyof ResourceStore) {
      const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (name !== 'patch') return method;
      return async (...args: unknown[]) => {
        const written = await method(...args);
        writes += 1;
        if (writes > 1) return written;
        queueMicrotask(() => queueMicrotask(() => clock.advance(100)));
        throw new StoreError('Unavailable', 'the connection broke');
      };
    },
  });
}

const attempt = { number: 1, at: '2026-01-02T03:04:05.000Z', reason: 'Delivered' as const, message: 'ok' };

it.each<[string, StatusPatch]>([
  ['an attempt', { phase: 'Delivered', attemptCount: 1, attempts: [attempt] }],
  ['no attempt', { phase: 'Skipped', reason: 'FilterFalse', settledAt: '2026-01-02T03:04:05Z' }],
])('a status of %s whose answer was lost counts as written', async (_what, status) => {
  const { spec, ...rest } = deliveryOf({});
  const metadata = { name: 'a', namespace: 'default' };
  const made = await opened.store.create<'Delivery'>({ ...rest, metadata, spec });
  const errors: unknown[] = [];
  const written: Delivery | undefined = await writeStatus(
    made,
    status,
    {
      store: losesFirstAnswer(),
      clock,
      log: silentLogger,
      isFenced: true,
      onError: (error) => errors.push(error),
    },
    new AbortController().signal,
  );
  expect(written?.status).toMatchObject(status);
  expect(errors).toHaveLength(1);
});
