import { type FileHandle, open } from 'node:fs/promises';
import { errorCode } from '../../base/errors.ts';
import type { CommandContext } from '../command-context.ts';
import { bytePrinter } from './print-bytes.ts';
import type { LogCopy, TaskLog } from './task-log.ts';

/** The growing file that a run on this machine writes; each of its bytes is copied once. */
export class FileLog implements TaskLog {
  readonly lookMs = 200;
  readonly #path: string;
  readonly #signal: AbortSignal;
  readonly #print: (bytes: Uint8Array) => void;
  #handle: FileHandle | undefined;

  constructor(path: string, context: CommandContext) {
    this.#path = path;
    this.#signal = context.signal;
    this.#print = bytePrinter(context);
  }

  async copy(): Promise<LogCopy> {
    this.#handle ??= await openIfThere(this.#path);
    if (this.#handle === undefined) return { kind: 'none', what: 'there is no log' };
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      this.#signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return { kind: 'copied' };
      this.#print(buffer.subarray(0, bytesRead));
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}
