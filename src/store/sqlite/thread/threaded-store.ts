import { Worker } from 'node:worker_threads';
import type { Logger } from '../../../base/log.ts';
import { StoreError } from '../../errors.ts';
import type { ResourceStore } from '../../store.ts';
import { SqliteStore } from '../sqlite-store.ts';
import { errorOf, type Parcel } from './messages.ts';
import { RemoteFile } from './remote-file.ts';

export interface ThreadedStoreOptions {
  readonly path: string;
  readonly log: Logger;
  /** The program of the thread: `store-thread.ts`, bundled. */
  readonly threadPath: string;
  /** Told when the thread ends against its will: from then on every call is refused as `Unavailable`. */
  readonly onLost: (error: Error) => void;
}

/**
 * Opens the store in one SQLite file, worked on in a thread of its own: waiting for the disk and checking what
 * is written take nothing from the event loop of the caller. The same store as `openSqliteStore` in all else.
 * @throws StoreError `Unavailable` with the remedy
 */
export async function openThreadedStore(options: ThreadedStoreOptions): Promise<ResourceStore> {
  const { path, threadPath } = options;
  const worker = new Worker(threadPath, { workerData: { path }, name: 'telos store' });
  try {
    const fullPath = await opened(worker, options);
    return new SqliteStore(new RemoteFile(worker, fullPath, options));
  } catch (thrown) {
    await worker.terminate();
    throw thrown;
  }
}

/** Resolves with the file's full path when the thread has opened it. */
function opened(worker: Worker, { path, log }: ThreadedStoreOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new StoreError('Unavailable', `store ${path}: its thread cannot be started: ${why}`));
    const onError = (error: Error): void => fail(error.message);
    const onExit = (code: number): void => fail(`exit code ${code}`);
    worker.once('error', onError).once('exit', onExit);
    const onMessage = ({ replies }: Parcel): void => {
      for (const opening of replies) {
        if (opening.is === 'log') log[opening.level](opening.message, opening.fields);
        if (opening.is !== 'opened' && opening.is !== 'not-opened') continue;
        worker.off('error', onError).off('exit', onExit).off('message', onMessage);
        if (opening.is === 'opened') resolve(opening.path);
        else reject(errorOf(opening.failure));
      }
    };
    worker.on('message', onMessage);
  });
}
