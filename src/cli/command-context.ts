import type { Clock } from '../base/clock.ts';
import type { GlobalOptions } from './global-options.ts';

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

/** What every command is given. */
export interface CommandContext extends CliIo {
  readonly options: GlobalOptions;
}

/** Writes one result line. */
export function printLine(context: Pick<CliIo, 'stdout'>, line: string): void {
  context.stdout.write(`${line}\n`);
}

/** Writes one line that is no result: a note, a warning, progress. */
export function printNote(context: Pick<CliIo, 'stderr'>, line: string): void {
  context.stderr.write(`${line}\n`);
}
