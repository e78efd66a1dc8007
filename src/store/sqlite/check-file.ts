import { Connection } from './connection.ts';
import { DamagedRowError, notJson, toStoreError } from './sqlite-errors.ts';

/** How long it waits for another process that has the file just now. */
const busyTimeoutMs = 5_000;

/**
 * Reads all of the file and checks that it hangs together: seconds for a large one, and the thread waits.
 * @throws StoreError `Damaged`, or `Unavailable` when it cannot be read
 */
export function checkFile(path: string): void {
  let connection: Connection | undefined;
  try {
    connection = new Connection(path, busyTimeoutMs);
    const found = connection.pragma('quick_check(1)');
    if (found !== 'ok') throw new DamagedRowError(String(found));
    const unreadable = connection.first<{ rv: number }>(
      'SELECT rv FROM revision WHERE NOT json_valid(json) LIMIT 1',
    );
    if (unreadable !== undefined) throw notJson(unreadable.rv);
  } catch (thrown) {
    throw toStoreError(thrown, path);
  } finally {
    connection?.close();
  }
}
