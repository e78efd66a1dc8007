import { type FileHandle, open } from 'node:fs/promises';
import { CliError, systemErrorWords } from './cli-error.ts';

/**
 * Does work on a path; what the operating system refuses is told with `where`: not every error says its path,
 * and none says which flag it came from.
 * @throws CliError
 */
export async function namingPath<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const words = systemErrorWords(thrown);
    if (words === undefined) throw thrown;
    throw new CliError(words.what, where, words.remedy, { cause: thrown });
  }
}

/** More is not read of any file. */
const maxFileBytes = 16 * 1024 * 1024;

/**
 * Reads a file whatever it is, a pipe or a device too, but never without end. `where` is what errors call it,
 * `remedy` what to do about one of more than 16 MiB.
 * @throws CliError
 */
export function readBounded(path: string, where: string, remedy: string): Promise<Buffer> {
  return namingPath(where, async () => {
    const handle = await open(path, 'r');
    try {
      return await readAll(handle, () => tooLarge(where, remedy));
    } finally {
      await handle.close();
    }
  });
}

async function readAll(handle: FileHandle, overflow: () => CliError): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let total = 0; ; ) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(65_536));
    if (bytesRead === 0) return Buffer.concat(chunks);
    total += bytesRead;
    if (total > maxFileBytes) throw overflow();
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

/** Reads all that comes on a stream. @throws CliError when that is more than 16 MiB */
export async function readStream(
  stream: AsyncIterable<string | Uint8Array>,
  where: string,
  remedy: string,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    total += bytes.length;
    if (total > maxFileBytes) throw tooLarge(where, remedy);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function tooLarge(where: string, remedy: string): CliError {
  return new CliError('larger than 16 MiB', where, remedy);
}
