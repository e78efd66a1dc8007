import { CliError } from '../cli-error.ts';
import type { DemoOptions } from '../engine-options.ts';

/** `telos demo`: the main job on a throw-away store. Returns the exit code. */
export async function runDemo(_options: DemoOptions): Promise<number> {
  throw new CliError('not built yet', 'telos demo', 'use a later version');
}
