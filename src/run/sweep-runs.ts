import { sleep } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { everyPage } from '../store/every-page.ts';
import type { RoomDeps } from '../store/room.ts';
import type { Runner } from './runner.ts';

const sweepIntervalMs = 3_600_000;
const pageSize = 500;

/**
 * Clears up what is kept of runs whose Tasks are gone, now and every hour: logs of Tasks that were removed after
 * they ended, and programs of Tasks that somebody removed by force while no engine was there. Never rejects.
 */
export async function sweepRuns(
  deps: Pick<RoomDeps, 'store' | 'namespaces' | 'clock' | 'log'>,
  runner: Runner,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await sweepOnce(deps, runner, signal);
    } catch (thrown) {
      if (!signal.aborted) deps.log.warn('old runs are cleared up later', { error: toError(thrown).message });
    }
    await sleep(sweepIntervalMs, signal, deps.clock).catch(() => {});
  }
}

async function sweepOnce(
  { store, namespaces }: Pick<RoomDeps, 'store' | 'namespaces'>,
  runner: Runner,
  signal: AbortSignal,
): Promise<void> {
  // Runs first: a Task is there before its run is, so one that the list does not show then is gone.
  const left = new Set(await runner.list());
  if (left.size === 0) return;
  for await (const page of everyPage(store, 'Task', { namespaces, limit: pageSize, signal })) {
    for (const { metadata } of page) left.delete(metadata.uid);
    if (left.size === 0) return;
  }
  // What is not listed is gone only if everything was.
  signal.throwIfAborted();
  for (const uid of left) {
    const run = await runner.find(uid, signal);
    run?.cancel();
    await run?.ended(signal);
    await runner.forget(uid);
  }
}
