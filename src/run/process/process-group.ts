import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { signalGroup } from './process-identity.ts';

/** Between looks whether a process group is gone. */
const lookMs = 20;

/**
 * Ends a process group: asks politely, forces it after `graceMs`. Resolves when it is gone or was forced.
 * @throws the signal's reason when it aborts first.
 */
export async function endProcessGroup(
  leader: number,
  graceMs: number,
  signal: AbortSignal,
  clock: Clock,
): Promise<void> {
  if (!signalGroup(leader, 'SIGTERM')) return;
  const endMs = clock.monotonic() + graceMs;
  while (clock.monotonic() < endMs) {
    await sleep(lookMs, signal, clock);
    if (!signalGroup(leader, 0)) return;
  }
  signalGroup(leader, 'SIGKILL');
}
