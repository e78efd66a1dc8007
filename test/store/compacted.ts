import { historyMs, historyRevisions } from '../../src/store/sqlite/compactor.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import type { ManualClock } from '../support/manual-clock.ts';

/** Writes to a Task, and lets time pass, until what was written before is no longer in the history. */
export async function compacted(clock: ManualClock, store: ResourceStore, name: string): Promise<void> {
  const key = { namespace: 'default', name };
  const annotate = (value: string): Promise<unknown> =>
    store.patch('Task', key, { metadata: { annotations: { value } } });
  const start = (await store.get('Task', key)).metadata.resourceVersion;
  for (let from = 0; from < historyRevisions; from += 1000)
    await Promise.all(Array.from({ length: 1000 }, (_, index) => annotate(`${from + index}`)));
  clock.advance(historyMs + 60_000);
  // The write is queued behind the steps that the clock has set off, as far as they have got.
  for (let wait = 0; ; wait += 1) {
    await annotate(`wait ${wait}`);
    const probe = store.watch('Task', { resourceVersion: start })[Symbol.asyncIterator]();
    const isGone = await probe.next().then(
      () => false,
      (error: { code: string }) => error.code === 'Gone',
    );
    await probe.return?.();
    if (isGone) return;
    clock.advance(20_000);
  }
}
