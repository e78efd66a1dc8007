import { CliError } from '../cli-error.ts';
import type { UpOptions } from '../engine-options.ts';

/** `telos up`: the engine in the foreground, until a signal stops it. Returns the exit code. */
export async function runUp(_options: UpOptions): Promise<number> {
  throw new CliError('not built yet', 'telos up', 'use a later version');
}
