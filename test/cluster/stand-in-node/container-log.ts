import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Which part of a log is wanted, as `pods/log` names it. */
export interface LogSelection {
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly tailLines?: number;
  readonly limitBytes?: number;
  /** Milliseconds since the epoch. */
  readonly since?: number;
}

interface LogEntry {
  readonly time: string;
  readonly complete: boolean;
  readonly text: Buffer;
}

/** How often a log that is followed is looked at. */
const lookMs = 20;

/**
 * What the container wrote, from its log of `TIME STREAM F|P LINE` entries; with `follow` until it has ended.
 * @param ended whether nothing more will be written.
 */
export async function* readContainerLog(
  file: string,
  selection: LogSelection,
  ended: () => boolean,
): AsyncGenerator<Buffer, void> {
  let left = selection.limitBytes ?? Number.POSITIVE_INFINITY;
  let beginsLine = true;
  for await (const { time, complete, text } of selectEntries(file, selection, ended)) {
    const stamp = selection.timestamps && beginsLine ? `${time} ` : '';
    beginsLine = complete;
    const chunk = Buffer.concat([Buffer.from(stamp), text, Buffer.from(complete ? '\n' : '')]).subarray(
      0,
      left,
    );
    yield chunk;
    left -= chunk.length;
    if (left <= 0) return;
  }
}

async function* selectEntries(
  file: string,
  { follow, tailLines, since }: LogSelection,
  ended: () => boolean,
): AsyncGenerator<LogEntry, void> {
  const log = await openLog(file);
  if (log === undefined) return;
  try {
    const wanted = (entry: LogEntry): boolean => since === undefined || Date.parse(entry.time) >= since;
    const reader = new EntryReader(log);
    const present = (await reader.next()).filter(wanted);
    yield* tailLines === undefined
      ? present
      : present.slice(present.length - Math.min(tailLines, present.length));
    while (follow) {
      const over = ended();
      const entries = await reader.next();
      yield* entries.filter(wanted);
      if (over && entries.length === 0) return;
      if (!over) await delay(lookMs);
    }
  } finally {
    await log.close();
  }
}

async function openLog(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

class EntryReader {
  readonly #file: FileHandle;
  #rest = Buffer.alloc(0);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The entries written since the last call. */
  async next(): Promise<LogEntry[]> {
    const pieces = [this.#rest];
    for (;;) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(65_536), 0, 65_536);
      if (bytesRead === 0) break;
      pieces.push(buffer.subarray(0, bytesRead));
    }
    const bytes = Buffer.concat(pieces);
    const entries: LogEntry[] = [];
    let from = 0;
    for (let newline = bytes.indexOf(10); newline !== -1; newline = bytes.indexOf(10, from)) {
      entries.push(parseEntry(bytes.subarray(from, newline)));
      from = newline + 1;
    }
    this.#rest = bytes.subarray(from);
    return entries;
  }
}

function parseEntry(line: Buffer): LogEntry {
  const timeEnd = line.indexOf(32);
  const streamEnd = line.indexOf(32, timeEnd + 1);
  return {
    time: line.toString('latin1', 0, timeEnd),
    complete: line.toString('latin1', streamEnd + 1, streamEnd + 2) === 'F',
    text: line.subarray(streamEnd + 3),
  };
}
