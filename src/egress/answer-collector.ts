import { type Answer, closedEarly, ExchangeError } from './connection.ts';
import type { Patience } from './patience.ts';

/** More of an answer's body is not read. */
const maxBodyBytes = 4096;

/** What came of one exchange. */
type Ending =
  | { readonly answer: Answer /** Whether its body was read to the end. */; readonly isWhole: boolean }
  | { readonly error: unknown };

/** Collects one answer as its parts come, whatever the protocol, and tells once what came of it. */
export class AnswerCollector {
  readonly #patience: Patience;
  readonly #now: () => number;
  readonly #tell: (ending: Ending) => void;
  #chunks: Uint8Array[] | undefined;
  #size = 0;
  #status = 0;
  #headers: Readonly<Record<string, string>> = {};
  #firstByteAt = 0;
  #isOver = false;

  constructor(patience: Patience, now: () => number, tell: (ending: Ending) => void) {
    this.#patience = patience;
    this.#now = now;
    this.#tell = tell;
    patience.listener = (reason) => this.fail(reason);
  }

  /** Whether it was told already: what comes now comes too late. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The final status, not a hint before it. */
  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#status = status;
    this.#headers = headers;
    this.#firstByteAt = this.#now();
  }

  add(chunk: Uint8Array): void {
    this.#chunks ??= [];
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > maxBodyBytes) this.#answered(false);
  }

  /** The other side has ended. */
  finish(): void {
    if (this.#status === 0) this.#end({ error: new ExchangeError(closedEarly, 'unknown') });
    else this.#answered(true);
  }

  /** A body that breaks off or drips changes nothing about the status that came before it. */
  fail(error: unknown): void {
    if (this.#status !== 0) this.#answered(false);
    else this.#end({ error });
  }

  #answered(isWhole: boolean): void {
    if (this.#isOver) return;
    const body = this.#chunks === undefined ? noBytes : Buffer.concat(this.#chunks).subarray(0, maxBodyBytes);
    const answer = { status: this.#status, headers: this.#headers, body, firstByteAt: this.#firstByteAt };
    this.#end({ answer, isWhole });
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#patience.listener = undefined;
    this.#tell(ending);
  }
}

const noBytes = Buffer.alloc(0);

/** Headers as one flat record; names that objects have already are names like any other. */
export function flatHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  const flat: Record<string, string> = Object.create(null);
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || name.startsWith(':')) continue;
    flat[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return flat;
}
