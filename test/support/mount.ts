import { spawnSync } from 'node:child_process';

const mount = '/usr/bin/mount';

/** Whether this user may mount; tried in a namespace of its own, which leaves nothing behind. */
export const canMount: boolean =
  process.platform === 'linux' &&
  spawnSync('/usr/bin/unshare', ['--mount', mount, '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

/** What is mounted on top of a path until `release`. */
export interface Mounted {
  release(): void;
}

/** Shows a file or folder a second time, at `path`. */
export function bindMount(source: string, path: string): Mounted {
  return mounted(['--bind', source, path], path);
}

/** A disk of its own that holds so many bytes. */
export function smallDisk(path: string, bytes: number): Mounted {
  return mounted(['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], path);
}

function mounted(args: readonly string[], path: string): Mounted {
  const { status, stderr } = spawnSync(mount, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cannot mount ${path}: ${stderr}`);
  // Lazily: a process that has just been killed may still be seen to use it.
  return { release: () => void spawnSync('/usr/bin/umount', ['--lazy', path]) };
}
