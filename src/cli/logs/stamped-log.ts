const newline = 10;
const space = 32;
/** What a node writes before each line; in its own time zone. */
const stampPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;
const maxStampBytes = 35;

/** A line of a log, and how much of it has been given out. */
interface Place {
  /** '' before any line that has one. */
  readonly stamp: string;
  /** How many lines with this stamp have begun, this one included. */
  readonly nth: number;
  bytes: number;
}

/**
 * Reads a log whose lines begin with their time, as often as it is opened: gives out each byte once, without those
 * times. Where it got to is told by time and not by bytes, because a node throws the beginning of a long log away.
 */
export class StampedLog {
  #got: Place = { stamp: '', nth: 0, bytes: 0 };

  /** From when on the log has to be read for the rest, as Kubernetes takes it; undefined: from its beginning. */
  get sinceTime(): string | undefined {
    const { stamp } = this.#got;
    // Fractions of a second are refused by some API servers and forgotten by others.
    return stamp === ''
      ? undefined
      : new Date(nanosOf(stamp).second * 1000).toISOString().replace('.000Z', 'Z');
  }

  /** What of these bytes, a log from `sinceTime` on, was not given out before. */
  async *rest(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    const lines = new StampedLines();
    const reader = new Reader(this.#got);
    const take = (pieces: readonly Piece[]): Buffer => {
      const fresh = pieces.map((piece) => reader.read(piece));
      this.#got = reader.got;
      return Buffer.concat(fresh);
    };
    for await (const chunk of chunks) {
      const fresh = take(lines.split(chunk));
      if (fresh.length > 0) yield fresh;
    }
    const fresh = take(lines.end());
    if (fresh.length > 0) yield fresh;
  }
}

/** A part of a line; the first part has the line's stamp. */
interface Piece {
  readonly stamp: string | undefined;
  readonly bytes: Buffer;
}

/** Tells stamps from what was printed. */
class StampedLines {
  #head = Buffer.alloc(0);
  #atStart = true;
  #areStamped = false;

  split(chunk: Uint8Array): Piece[] {
    const bytes = Buffer.concat([this.#head, chunk]);
    const pieces: Piece[] = [];
    let from = 0;
    while (from < bytes.length) {
      const stamp = this.#atStart ? stampAt(bytes, from) : undefined;
      if (stamp === 'unfinished') break;
      if (stamp !== undefined) {
        this.#areStamped = true;
        from += stamp.length + 1;
      }
      const end = bytes.indexOf(newline, from);
      const to = end === -1 ? bytes.length : end + 1;
      pieces.push({ stamp, bytes: bytes.subarray(from, to) });
      this.#atStart = end !== -1;
      from = to;
    }
    this.#head = bytes.subarray(from);
    return pieces;
  }

  /** What was held back; half a stamp is none of the program's. */
  end(): Piece[] {
    return this.#areStamped ? [] : [{ stamp: undefined, bytes: this.#head }];
  }
}

function stampAt(bytes: Buffer, from: number): string | 'unfinished' | undefined {
  const head = bytes.subarray(from, from + maxStampBytes + 1);
  const to = head.indexOf(space);
  if (to === -1) return head.length <= maxStampBytes && !head.includes(newline) ? 'unfinished' : undefined;
  const stamp = head.toString('latin1', 0, to);
  return stampPattern.test(stamp) ? stamp : undefined;
}

/** Passes over what one place has behind it. */
class Reader {
  readonly #goal: Place;
  /** Where it is before the goal; undefined from there on. */
  #before: { nth: number } | undefined;
  #skip = 0;
  #got: Place;

  constructor(goal: Place) {
    this.#goal = goal;
    this.#got = goal;
    if (goal.stamp === '') this.#skip = goal.bytes;
    else this.#before = { nth: 0 };
  }

  /** How far the log is known now. */
  get got(): Place {
    return this.#got;
  }

  read({ stamp, bytes }: Piece): Buffer {
    if (stamp !== undefined) this.#begin(stamp);
    if (this.#before !== undefined) return empty;
    const fresh = bytes.subarray(this.#skip);
    this.#skip -= bytes.length - fresh.length;
    this.#got.bytes += fresh.length;
    return fresh;
  }

  #begin(stamp: string): void {
    if (this.#before === undefined) {
      this.#next(stamp);
      return;
    }
    const order = compareStamps(stamp, this.#goal.stamp);
    if (order < 0) return;
    if (order === 0) {
      this.#before.nth += 1;
      if (this.#before.nth < this.#goal.nth) return;
      this.#skip = this.#goal.bytes;
    } else {
      this.#next(stamp);
    }
    this.#before = undefined;
  }

  #next(stamp: string): void {
    this.#skip = 0;
    this.#got = { stamp, nth: stamp === this.#got.stamp ? this.#got.nth + 1 : 1, bytes: 0 };
  }
}

const empty = Buffer.alloc(0);

function compareStamps(one: string, other: string): number {
  if (one === other) return 0;
  const [a, b] = [nanosOf(one), nanosOf(other)];
  return a.second - b.second || a.nanos - b.nanos;
}

/** A stamp as seconds since the epoch, and nanoseconds. */
function nanosOf(stamp: string): { readonly second: number; readonly nanos: number } {
  const [, time = '', fraction = '', zone = 'Z'] = stampPattern.exec(stamp) ?? [];
  return { second: Date.parse(time + zone) / 1000, nanos: Number(fraction.padEnd(9, '0')) };
}
