import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

const prefaceBytes = 24;
const headBytes = 9;
const goawayType = 7;
/** Of a goodbye's payload: the last stream, then the error code. */
const goawayBytes = 8;

/**
 * The socket under a session of HTTP/2, which sees what is sent. When the other side breaks the protocol, Node says
 * goodbye to it and then waits for ever, without a word to whoever uses the session.
 */
export class Http2Wire extends Duplex {
  readonly #socket: TLSSocket;
  readonly #onAnger: () => void;
  /** Bytes to pass over before the next frame begins. */
  #skip = prefaceBytes;
  #head = Buffer.alloc(0);

  /** `onAnger` is told, once what is being sent is sent, of a goodbye of this side that names an error. */
  constructor(socket: TLSSocket, onAnger: () => void) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#onAnger = onAnger;
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.once('end', () => this.push(null));
    socket.once('close', () => this.destroy());
    socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#saysAnger(chunk)) setImmediate(this.#onAnger);
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /** Follows the frames, which may be cut anywhere. */
  #saysAnger(chunk: Buffer): boolean {
    let rest = chunk;
    let isAngry = false;
    while (rest.length > 0) {
      const skipped = Math.min(this.#skip, rest.length);
      this.#skip -= skipped;
      rest = rest.subarray(skipped);
      if (rest.length === 0) break;
      const wanted =
        this.#head.length >= 4 && this.#head[3] === goawayType ? headBytes + goawayBytes : headBytes;
      const taken = rest.subarray(0, wanted - this.#head.length);
      this.#head = Buffer.concat([this.#head, taken]);
      rest = rest.subarray(taken.length);
      if (this.#head.length < wanted) break;
      const isGoaway = this.#head[3] === goawayType;
      if (isGoaway && wanted === headBytes) continue;
      if (isGoaway) isAngry ||= this.#head.readUInt32BE(headBytes + 4) !== 0;
      this.#skip = this.#head.readUIntBE(0, 3) - (isGoaway ? goawayBytes : 0);
      this.#head = Buffer.alloc(0);
    }
    return isAngry;
  }
}
