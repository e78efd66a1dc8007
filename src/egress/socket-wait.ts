import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { TimedOut } from './patience.ts';

export interface SocketWait {
  readonly event: 'connect' | 'secureConnect';
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Makes the error to throw; without a cause it is about the time, which is up. */
  readonly failure: (cause: Error | undefined) => Error;
}

/**
 * Waits for an event of a socket; destroys it when that does not come.
 * @throws the failure, also when the time of the whole exchange is up first, or the signal's reason
 */
export function socketReady(socket: Socket, wait: SocketWait, signal: AbortSignal): Promise<void> {
  const { event, timeoutMs, clock, failure } = wait;
  return new Promise((resolve, reject) => {
    const end = (outcome: () => void): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      socket.off(event, onReady).off('error', onError).off('close', onClose);
      outcome();
    };
    const fail = (error: unknown): void =>
      end(() => {
        socket.destroy();
        reject(error);
      });
    const onReady = (): void => end(resolve);
    const onError = (error: Error): void => fail(failure(error));
    const onClose = (): void => fail(failure(new Error('the connection was closed')));
    const onAbort = (): void => fail(signal.reason instanceof TimedOut ? failure(undefined) : signal.reason);
    const cancel = clock.after(timeoutMs, () => fail(failure(undefined)));
    socket.once(event, onReady).once('error', onError).once('close', onClose);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * An error may come while a socket goes from hand to hand and nobody listens. That must not bring the process
 * down: whoever takes the socket next sees that it is destroyed.
 */
export function guarded<S extends Socket>(socket: S): S {
  socket.on('error', () => {});
  return socket;
}
