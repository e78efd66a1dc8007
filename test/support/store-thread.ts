import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { bundle, root } from '../../scripts/bundle.mjs';

/** Bundles the program of the store's thread as it is shipped; returns the file. */
export async function buildStoreThread(): Promise<string> {
  // Below node_modules, so that the native module that is not bundled is found. One folder for each worker.
  const folder = join(root, 'node_modules', '.cache', 'telos-test', `thread-${threadId}`);
  await bundle({ 'store-thread': 'src/store/sqlite/thread/store-thread.ts' }, folder);
  return join(folder, 'store-thread.js');
}
