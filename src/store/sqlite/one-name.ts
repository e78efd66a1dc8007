import { existsSync, readFileSync, realpathSync, type Stats } from 'node:fs';

/**
 * Why a database file must not be opened under this name; undefined when it may. SQLite keeps its log and its
 * locks beside the file, by name: under a second name that is no symbolic link, two programs would each have
 * a log and a lock of their own, and write the same file.
 */
export function secondNameOf(file: string, { nlink }: Pick<Stats, 'nlink'>): string | undefined {
  if (nlink > 1)
    return `it has ${nlink} names (hard links), and would be damaged when used under both; remove the others, or replace them by symbolic links`;
  if (isMountPoint(file))
    return 'it is mounted by itself, without the log that belongs to it; mount its folder instead';
  return undefined;
}

const mountTable = '/proc/self/mountinfo';

/** Only Linux mounts single files. */
function isMountPoint(file: string): boolean {
  if (!existsSync(mountTable)) return false;
  // The fifth field, in which spaces and the like are written in octal.
  const escaped = realpathSync(file).replace(
    /[\\ \t\n]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return readFileSync(mountTable, 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === escaped);
}
