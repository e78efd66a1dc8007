import { sleep } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import type { RoomDeps } from '../store/room.ts';
import type { ResourceStore } from '../store/store.ts';
import type { Runner } from './runner.ts';

const sweepIntervalMs = 3_600_000;
const pageSize = 500;

/**
 * Clears up what is kept of runs whose Tasks are gone, now and every hour: logs of Tasks that were removed after
 * they ended, and programs of Tasks that somebody removed by force while no engine was there. Never rejects.
 */
export async function sweepRuns(
  { store, clock, log }: Pick<RoomDeps, 'store' | 'clock' | 'log'>,
  runner: Runner,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await sweepOnce(store, runner, signal);
    } catch (thrown) {
      if (!signal.aborted) log.warn('old runs are cleared up later', { error: toError(thrown).message });
    }
    await sleep(sweepIntervalMs, signal, clock).catch(() => {});
  }
}

async function sweepOnce(store: ResourceStore, runner: Runner, signal: AbortSignal): Promise<void> {
  // Runs first: a Task is there before its run is, so one that the list does not show then is gone.
  const left = new Set(await runner.list());
  let token: string | undefined;
  do {
    if (left.size === 0) return;
    const page = await store.list('Task', { limit: pageSize, continue: token, signal });
    for (const { metadata } of page.items) left.delete(metadata.uid);
    token = page.continue;
  } while (token !== undefined);
  for (const uid of left) {
    const run = await runner.find(uid, signal);
    run?.cancel();
    await run?.ended(signal);
    await runner.forget(uid);
  }
}
