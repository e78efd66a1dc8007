import type { CliIo } from './cli-io.ts';
import type { GlobalOptions } from './global-options.ts';

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
