import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../../base/errors.ts';
import { isJsonObject } from '../../base/json.ts';
import type { RunOutcome, RunRecord } from '../runner.ts';
import type { ProcessIdentity } from './process-identity.ts';

/**
 * The folder of one run, `<directory>/<uid of the Task>`:
 *
 *     log          what the program printed
 *     work/        its working directory, unless the Task names one
 *     state.json   who runs; written before anything is started
 *     exit.json    how it ended; written when nothing runs any more
 */
export const runFile = { log: 'log', work: 'work', state: 'state.json', exit: 'exit.json' } as const;

/** Who runs. */
export interface RunState {
  readonly keeper: ProcessIdentity;
  /** Leader of its process group. Absent until it is started. */
  readonly agent?: ProcessIdentity | undefined;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
}

/** What the keeper is told through its stdin. It holds secrets, so it never touches the disk. */
export interface KeeperJob {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  /** Given to the program on its stdin. */
  readonly stdin: string;
  readonly deadlineMs?: number | undefined;
  /** From the polite signal to the one that cannot be refused. */
  readonly graceMs: number;
  readonly logHeadBytes: number;
  /** Values that must not appear in what is recorded. */
  readonly hidden: readonly string[];
}

/** The last line of a job: without it the job is not complete. */
export const jobEnd = '\n';

/** Reads a record of a run folder; undefined when it is not there, `unreadable` when it is broken. */
export async function readState(folder: string): Promise<RunState | 'unreadable' | undefined> {
  const value = await readJson(join(folder, runFile.state));
  if (value === undefined) return undefined;
  return isJsonObject(value) && isIdentity(value['keeper']) && typeof value['startedAt'] === 'number'
    ? (value as unknown as RunState)
    : 'unreadable';
}

/** The record of how the run ended; undefined while there is none that can be read. */
export async function readRecord(folder: string): Promise<RunRecord | undefined> {
  const value = await readJson(join(folder, runFile.exit));
  return isRecord(value) ? value : undefined;
}

/** Writes a record whole or not at all, and so that it is still there after a power cut. */
export async function writeRecord(folder: string, name: string, value: unknown): Promise<void> {
  const path = join(folder, name);
  const temporary = `${path}.${process.pid}`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(value));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Makes the names in a folder last through a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT' || errorCode(thrown) === 'ENOTDIR') return undefined;
    throw thrown;
  }
  try {
    return JSON.parse(text);
  } catch {
    return 'unreadable';
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return isJsonObject(value) && Number.isSafeInteger(value['pid']) && Number(value['pid']) > 1;
}

/** The program could write there too: what is not a record must not become a status. */
function isRecord(value: unknown): value is RunRecord {
  if (!isJsonObject(value)) return false;
  const { outcome, cancelled, startedAt, finishedAt, outputs, results, outputsLeftOut, lastLine } = value;
  return (
    isOutcome(outcome) &&
    typeof cancelled === 'boolean' &&
    [startedAt, finishedAt, outputsLeftOut].every(Number.isSafeInteger) &&
    Array.isArray(outputs) &&
    outputs.every((line) => typeof line === 'string') &&
    isJsonObject(results) &&
    Object.values(results).every((text) => typeof text === 'string') &&
    typeof lastLine === 'string'
  );
}

function isOutcome(value: unknown): value is RunOutcome {
  if (!isJsonObject(value)) return false;
  switch (value['kind']) {
    case 'exited':
      return Number.isSafeInteger(value['code']);
    case 'signaled':
      return typeof value['signal'] === 'string';
    case 'deadline':
      return true;
    case 'notStarted':
    case 'lost':
      return typeof value['message'] === 'string';
    default:
      return false;
  }
}
