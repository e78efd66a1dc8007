import type { Clock } from '../base/clock.ts';

/** The process around the program, as far as commands may use it. */
export interface CliIo {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: CliOutput;
  readonly stderr: CliOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Aborts on Ctrl-C and SIGTERM, and when nobody reads stdout any more. */
  readonly signal: AbortSignal;
}

/** Where text goes. */
export interface CliOutput {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean | undefined;
}
