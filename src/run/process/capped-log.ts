import { writeSync } from 'node:fs';

/** How much of the end of the output is kept in memory, in bytes: outputs come last. */
const tailBytes = 256 * 1024;

/**
 * A log with a size limit: the beginning is written as it comes, the end when all is over, and a line in
 * between says how much was left out. A full disk costs the log, not the run.
 */
export class CappedLog {
  readonly #descriptor: number;
  readonly #limit: number;
  #written = 0;
  #seen = 0;
  #tail: Buffer[] = [];
  #tailSize = 0;
  #broken = false;

  constructor(descriptor: number, limit: number) {
    this.#descriptor = descriptor;
    this.#limit = limit;
  }

  add(chunk: Buffer): void {
    this.#seen += chunk.length;
    this.#keep(chunk);
    const room = this.#limit - this.#written;
    if (room > 0) this.#write(chunk.subarray(0, room));
  }

  /** Writes the end of what did not fit. */
  finish(): void {
    const tail = Buffer.concat(this.#tail);
    const missing = this.#seen - this.#written;
    if (missing <= 0) return;
    const end = tail.subarray(Math.max(0, tail.length - missing));
    const leftOut = missing - end.length;
    this.#write(Buffer.from(`\n[telos: ${leftOut} bytes of output were left out here]\n`));
    this.#write(end);
  }

  /** The end of the output. */
  get tail(): string {
    return Buffer.concat(this.#tail).toString('utf8');
  }

  #keep(chunk: Buffer): void {
    this.#tail.push(chunk);
    this.#tailSize += chunk.length;
    while (this.#tailSize - (this.#tail[0]?.length ?? 0) >= tailBytes) {
      this.#tailSize -= this.#tail.shift()?.length ?? 0;
    }
  }

  #write(bytes: Buffer): void {
    if (this.#broken) return;
    try {
      writeSync(this.#descriptor, bytes);
      this.#written += bytes.length;
    } catch {
      this.#broken = true;
    }
  }
}
