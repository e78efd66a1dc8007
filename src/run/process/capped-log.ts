import { closeSync, openSync, writeSync } from 'node:fs';
import { errorCode } from '../../base/errors.ts';

export interface CappedLogOptions {
  readonly path: string;
  /** Bytes of the beginning that are kept. */
  readonly headBytes: number;
  /** Bytes of the end that are kept. */
  readonly tailBytes: number;
}

/**
 * A log file that keeps the beginning and the end of what a program prints, however much that is, and says how
 * much it left out between them. Only ever appended to, so that it can be followed; memory is that of the tail.
 *
 * Writes are synchronous: a program that prints faster than the disk takes has to wait.
 */
export class CappedLog {
  readonly #file: number;
  readonly #headBytes: number;
  /** The last bytes, as a ring. */
  readonly #ring: Buffer;
  #written = 0;
  #total = 0;
  /** Why the file took no more, when it did not. */
  #trouble: string | undefined;

  /** @throws the system error when the file cannot be opened. */
  constructor({ path, headBytes, tailBytes }: CappedLogOptions) {
    this.#file = openSync(path, 'a', 0o600);
    this.#headBytes = headBytes;
    this.#ring = Buffer.alloc(tailBytes);
  }

  /** Takes what was printed. Never throws: a disk that is full costs the log, not the run. */
  append(chunk: Buffer): void {
    const room = this.#headBytes - this.#written;
    if (room > 0 && this.#trouble === undefined) this.#write(chunk.subarray(0, room));
    this.#remember(chunk);
    this.#total += chunk.length;
  }

  /** The last bytes as text; what is not UTF-8 shows as U+FFFD. */
  tail(): string {
    return this.#lastBytes(Math.min(this.#total, this.#ring.length)).toString('utf8');
  }

  /** Writes the end that the head does not have, after a line that says what was left out, and closes the file. */
  close(): void {
    const missing = this.#total - this.#written;
    if (missing > 0) {
      const shown = Math.min(missing, this.#ring.length);
      const trouble = this.#trouble === undefined ? '' : `, the file could not be written: ${this.#trouble}`;
      this.#trouble = undefined;
      if (missing > shown || trouble !== '')
        this.#write(Buffer.from(`\n[telos: ${missing - shown} bytes left out here${trouble}]\n`));
      this.#write(this.#lastBytes(shown));
    }
    closeSync(this.#file);
  }

  #write(bytes: Buffer): void {
    try {
      for (let done = 0; done < bytes.length && this.#trouble === undefined; ) {
        const step = writeSync(this.#file, bytes, done);
        done += step;
        this.#written += step;
      }
    } catch (thrown) {
      this.#trouble = errorCode(thrown) ?? 'unknown error';
    }
  }

  #remember(chunk: Buffer): void {
    const { length } = this.#ring;
    const kept = chunk.subarray(Math.max(0, chunk.length - length));
    const at = (this.#total + chunk.length - kept.length) % length;
    const first = kept.subarray(0, length - at);
    first.copy(this.#ring, at);
    kept.copy(this.#ring, 0, first.length);
  }

  #lastBytes(count: number): Buffer {
    const { length } = this.#ring;
    const end = this.#total % length;
    if (count <= end) return this.#ring.subarray(end - count, end);
    return Buffer.concat([this.#ring.subarray(length - (count - end)), this.#ring.subarray(0, end)]);
  }
}
