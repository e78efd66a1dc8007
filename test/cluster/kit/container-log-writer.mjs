/** The longest piece of a line that is kept in one entry, in bytes. */
const maxPiece = 16_384;

/** Turns what a container writes to one stream into entries of a container log: `TIME STREAM F|P LINE`. */
export class ContainerLogWriter {
  #stream;
  #write;
  #rest = Buffer.alloc(0);

  constructor(stream, write) {
    this.#stream = stream;
    this.#write = write;
  }

  append(chunk) {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const entries = [];
    let from = 0;
    for (let newline = bytes.indexOf(10); newline !== -1; newline = bytes.indexOf(10, from)) {
      for (; newline - from > maxPiece; from += maxPiece)
        entries.push(this.#entry('P', bytes.subarray(from, from + maxPiece)));
      entries.push(this.#entry('F', bytes.subarray(from, newline)));
      from = newline + 1;
    }
    for (; bytes.length - from > maxPiece; from += maxPiece)
      entries.push(this.#entry('P', bytes.subarray(from, from + maxPiece)));
    this.#rest = bytes.subarray(from);
    if (entries.length > 0) this.#write(Buffer.concat(entries));
  }

  /** A last line without an end is one all the same. */
  end() {
    if (this.#rest.length > 0) this.#write(this.#entry('P', this.#rest));
    this.#rest = Buffer.alloc(0);
  }

  #entry(tag, piece) {
    const time = new Date().toISOString().replace('Z', '000000Z');
    return Buffer.concat([Buffer.from(`${time} ${this.#stream} ${tag} `), piece, Buffer.from('\n')]);
  }
}
