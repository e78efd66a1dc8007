import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from './errors.ts';

/**
 * Makes a folder and those above it that are not there, for this user only. One that is there is fine.
 * Node's own recursive mkdir never returns below /proc, where making a folder is answered "not there".
 * @throws the system's error
 */
export function makeFolder(path: string): void {
  if (tryMake(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  mkdirSync(path, { mode: 0o700 });
}

/** False when the folder above it is not there. */
function tryMake(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (thrown) {
    if (errorCode(thrown) === 'EEXIST') return true;
    if (errorCode(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}
