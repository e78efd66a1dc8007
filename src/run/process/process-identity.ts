import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errorCode } from '../../base/errors.ts';

/**
 * What tells a process from any other that ever had, or will have, its pid: the pid, when it started (in the
 * machine's own words) and the boot it belongs to.
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
  /** '' where start times are absolute and need none. */
  readonly bootId: string;
}

/** The identity of the process that has this pid now; undefined when there is none, or it has ended. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === 'linux' ? linuxStartTime(pid) : psStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime, bootId: currentBootId() };
}

/** Whether this very process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identityOf(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** The boot of this machine; '' where none is needed. */
export function currentBootId(): string {
  if (process.platform !== 'linux') return '';
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

/** Sends a signal to a whole process group; 0 only asks. False when there is no such group. */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch (thrown) {
    // EPERM: there is one, but no member of it is ours to signal any more.
    if (errorCode(thrown) === 'ESRCH' || errorCode(thrown) === 'EPERM') return false;
    throw thrown;
  }
}

function linuxStartTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The name of the program, in brackets, may itself hold spaces and brackets: fields count from the last one.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields ?? [];
  // A process that nobody has waited for yet has ended all the same.
  return state === undefined || state === 'Z' || state === 'X' ? undefined : fields?.[19];
}

function psStartTime(pid: number): string | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C', TZ: 'UTC', PATH: '/bin:/usr/bin' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [state = '', ...start] = text.split(/\s+/);
    return text === '' || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
