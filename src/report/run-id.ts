import { createHash } from 'node:crypto';
import type { TerminalPhase } from '../api/hook.ts';
import type { Task } from '../api/task.ts';

/** What tells one terminal run of a Task from another: a Task that runs again is a new run. */
export interface Run {
  readonly uid: string;
  readonly phase: TerminalPhase;
  /** RFC 3339 as the Task has it; undefined when whoever ran it left it empty. */
  readonly completionTime: string | undefined;
  readonly startTime: string | undefined;
}

/** Kelos looks at a Task that has ended for 30 s at most, and may write completionTime each time. */
const longestLookMs = 60_000;

/** The run that a Task in this terminal phase has just ended. */
export function runOf(task: Task, phase: TerminalPhase): Run {
  const { completionTime, startTime } = task.status ?? {};
  return {
    uid: task.metadata.uid,
    phase,
    completionTime: sameInstant(completionTime),
    startTime: sameInstant(startTime),
  };
}

/**
 * Whether two sights of a Task are of one run. A completionTime that was only rewritten makes no new run: that
 * takes a start of its own. A completionTime that is empty both times says nothing, so a start of its own tells.
 */
export function isSameRun(earlier: Run, run: Run): boolean {
  if (earlier.uid !== run.uid || earlier.phase !== run.phase) return false;
  const startedAnew = run.startTime !== undefined && run.startTime !== earlier.startTime;
  return !startedAnew || (run.completionTime !== undefined && earlier.completionTime === run.completionTime);
}

/**
 * Whether a run that is taken for an earlier one may be another all the same: it has no startTime that could tell,
 * and its times changed by more than whoever ran it would change them by looking again.
 */
export function mayBeAnotherRun(earlier: Run, run: Run): boolean {
  if (!isSameRun(earlier, run) || run.startTime !== undefined) return false;
  if (earlier.startTime !== undefined) return true;
  if (earlier.completionTime === run.completionTime) return false;
  const movedMs = Date.parse(run.completionTime ?? '') - Date.parse(earlier.completionTime ?? '');
  return !(movedMs >= 0 && movedMs <= longestLookMs);
}

/**
 * The webhook-id of what one hook is told about one run: `msg_`, 7 characters of [2-7a-z] that are its
 * completionTime in seconds, 19 that are a digest. The same on every attempt, restart and replica.
 * `startTime` has a part in it only where there is no completionTime, which it then stands for.
 *
 * Time comes first, so that what ends together is stored together (and listed in that order): names without
 * any order cost a page of each index per write.
 */
export function deliveryId(run: Run, hookName: string): string {
  const parts = ['telos.dev/delivery', run.uid, run.phase, run.completionTime ?? '', hookName];
  if (run.completionTime === undefined && run.startTime !== undefined) parts.push(run.startTime);
  // JSON keeps the parts apart: no two lists of parts are the same text.
  const digest = base32(createHash('sha256').update(JSON.stringify(parts)).digest());
  return `msg_${secondsText(run.completionTime ?? run.startTime)}${digest.slice(0, 19)}`;
}

/** The name of the Delivery with this id. */
export function deliveryName(id: string): string {
  return id.replace('_', '-');
}

/** The run as annotation `telos.dev/webhook-report-run` holds it; `parseRun` reads it back. */
export function formatRun(run: Run): string {
  return [run.phase, run.completionTime ?? '-', run.startTime ?? '-', run.uid].join(' ');
}

/** The run that `formatRun` wrote; undefined for any other text. */
export function parseRun(text: string): Run | undefined {
  const [phase, completionTime, startTime, uid, ...more] = text.split(' ');
  if ((phase !== 'Succeeded' && phase !== 'Failed') || uid === undefined || more.length > 0) return undefined;
  return {
    uid,
    phase,
    completionTime: completionTime === '-' ? undefined : completionTime,
    startTime: startTime === '-' ? undefined : startTime,
  };
}

/** One spelling for one instant, whatever zone it was written in; text that is no time stands as it is. */
function sameInstant(time: string | undefined): string | undefined {
  if (time === undefined || time === '') return undefined;
  const epochMs = Date.parse(time);
  return Number.isNaN(epochMs) ? time.replaceAll(' ', '_') : new Date(epochMs).toISOString();
}

/** In the order of ASCII, so that texts of one length sort as the numbers that they are. */
const alphabet = '234567abcdefghijklmnopqrstuvwxyz';

/** An instant as 7 characters that sort; what is no instant, or lies outside of 1970 to 3058, as the first. */
function secondsText(time: string | undefined): string {
  const seconds = Math.floor(Date.parse(time ?? '') / 1000);
  if (!(seconds >= 0 && seconds < 2 ** 35)) return '2222222';
  let text = '';
  for (let rest = seconds; text.length < 7; rest = Math.floor(rest / 32))
    text = alphabet.charAt(rest % 32) + text;
  return text;
}

/** Five bits a character; a last group of fewer than five bits is left out. */
function base32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31] ?? '';
    }
    held &= (1 << bits) - 1;
  }
  return text;
}
