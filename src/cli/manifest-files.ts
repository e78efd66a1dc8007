import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { abortable } from '../base/abort.ts';
import { CliError, UsageError } from './cli-error.ts';
import type { CliIo } from './command-context.ts';
import { namingPath } from './naming-path.ts';

/** The bytes of one manifest file, and what to call it in messages. */
export interface ManifestFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** More is not read: whoever has more resources writes several files. */
const maxManifestBytes = 16 * 1024 * 1024;

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
  if (paths.filter((path) => path === '-').length > 1) {
    throw new UsageError('stdin can be read only once', '-f -', 'leave the others out');
  }
  const files: ManifestFile[] = [];
  for (const path of paths) {
    if (path === '-') files.push({ file: 'stdin', bytes: await readStdin(io) });
    else for (const file of await filesOf(path)) files.push({ file, bytes: await readBounded(file) });
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

/** Reads a file whatever it is, a pipe or a device too, but never without end. */
async function readBounded(path: string): Promise<Uint8Array> {
  return namingPath(path, async () => {
    const handle = await open(path, 'r');
    try {
      return await readHandle(handle, path);
    } finally {
      await handle.close();
    }
  });
}

async function readHandle(handle: FileHandle, path: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for (let total = 0; ; ) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(65_536));
    if (bytesRead === 0) return Buffer.concat(chunks);
    total += bytesRead;
    if (total > maxManifestBytes) throw tooLarge(path);
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

function readStdin(io: Pick<CliIo, 'stdin' | 'signal'>): Promise<Uint8Array> {
  const read = async (): Promise<Uint8Array> => {
    const chunks: Buffer[] = [];
    let total = 0;
    for await (const chunk of io.stdin) {
      const bytes = Buffer.from(chunk);
      total += bytes.length;
      if (total > maxManifestBytes) throw tooLarge('stdin');
      chunks.push(bytes);
    }
    return Buffer.concat(chunks);
  };
  return abortable(read(), io.signal);
}

function tooLarge(file: string): CliError {
  return new CliError('larger than 16 MiB', file, 'split it into several files');
}
