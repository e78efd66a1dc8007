import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { abortable } from '../base/abort.ts';
import { CliError, UsageError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { namingPath, readBounded, readStream } from './naming-path.ts';

/** The bytes of one manifest file, and what to call it in messages. */
export interface ManifestFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/**
 * Reads what `-f` names: files, all `.yaml`, `.yml` and `.json` files of folders, `-` for stdin, in this order.
 * @throws UsageError when none is named; CliError when one cannot be read
 */
export async function readManifestFiles(
  paths: readonly string[] | undefined,
  io: Pick<CliIo, 'stdin' | 'signal'>,
): Promise<readonly ManifestFile[]> {
  if (paths === undefined || paths.length === 0) {
    throw new UsageError('no manifest named', '-f', 'name a file, a folder, or - for stdin');
  }
  if (paths.includes(''))
    throw new UsageError('an empty name', '-f', 'name a file, a folder, or - for stdin');
  if (paths.filter((path) => path === '-').length > 1) {
    throw new UsageError('stdin can be read only once', '-f -', 'leave the others out');
  }
  const files: ManifestFile[] = [];
  for (const path of paths) {
    if (path === '-') files.push({ file: 'stdin', bytes: await readStdin(io) });
    else
      for (const file of await filesOf(path))
        files.push({ file, bytes: await readBounded(file, file, remedy) });
  }
  return files;
}

async function filesOf(path: string): Promise<readonly string[]> {
  const entries = await namingPath(path, async () =>
    (await stat(path)).isDirectory() ? readdir(path) : undefined,
  );
  if (entries === undefined) return [path];
  const manifests = entries.filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
  if (manifests.length === 0) {
    throw new CliError('no manifest', path, 'put .yaml, .yml or .json files there');
  }
  return manifests.map((name) => join(path, name));
}

const remedy = 'split it into several files';

function readStdin(io: Pick<CliIo, 'stdin' | 'signal'>): Promise<Uint8Array> {
  return abortable(readStream(io.stdin, 'stdin', remedy), io.signal);
}
