import { readFile } from 'node:fs/promises';
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

/** Reads the text file that a flag names. @throws CliError naming flag and path */
export function readNamedFile(flag: string, path: string): Promise<string> {
  return namingPath(`${flag} ${path}`, () => readFile(path, 'utf8'));
}
