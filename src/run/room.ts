import { sleep } from '../base/abort.ts';
import { toError } from '../base/errors.ts';
import { isStoreError } from '../store/errors.ts';
import type { Room, RoomDeps } from '../store/room.ts';
import { TaskController } from './controller.ts';
import type { Runner } from './runner.ts';

/** How often what is kept of runs is held against the Tasks that are there. */
const sweepMs = 3_600_000;

/** The room that runs Tasks. */
export function createRunRoom(deps: RoomDeps, { runner }: { readonly runner: Runner }): Room {
  const controller = new TaskController(deps, runner);
  return {
    async run(signal) {
      await deps.informers
        .of('Task')
        .synced(signal)
        .catch(() => {});
      if (signal.aborted) return;
      await Promise.all([controller.run(signal), sweepRuns(deps, runner, signal)]);
    },
  };
}

/** Forgets runs whose Tasks are gone: now, and every hour. */
async function sweepRuns(
  { store, clock, log }: RoomDeps,
  runner: Runner,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const { uid, namespace, name } of runner.list()) {
        if (signal.aborted) return;
        const present = await store.get('Task', { namespace, name }).catch((error: unknown) => {
          if (isStoreError(error, 'NotFound')) return undefined;
          throw error;
        });
        if (present?.metadata.uid === uid) continue;
        await runner.cancel(uid);
        await runner.outcome(uid, signal);
        await runner.forget(uid);
      }
    } catch (thrown) {
      if (!signal.aborted) log.warn('old runs will be removed later', { error: toError(thrown).message });
    }
    await sleep(sweepMs, signal, clock).catch(() => {});
  }
}
