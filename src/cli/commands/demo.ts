import { runDemo as walk } from '../demo/run-demo.ts';
import type { DemoOptions } from '../engine-options.ts';
import { createLogger } from '../logger.ts';

/** `telos demo`: the main job on a throw-away store. Returns the exit code: 0 when all of it was seen to happen. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { context, keep, egress, host } = options;
  const { stdout, stderr, env } = context;
  const isTTY = stdout.isTTY === true;
  const color = isTTY && context.options.color && env['NO_COLOR'] === undefined;
  const columns = Number(env['COLUMNS']) || process.stdout.columns || 100;
  // The demo shows itself what happens; its log would only paint over that.
  const level = options.log.level === 'info' ? 'error' : options.log.level;
  const log = createLogger({ ...options.log, level, color, write: (line) => stderr.write(line) });
  const terminal = { write: (text: string) => stdout.write(text), isTTY, color, columns };
  // Throw-away, so any port will do, unless it is to be kept.
  const port = keep ? options.port : 0;
  const seen = await walk({ keep, host, port, egress, terminal, log }, context.signal);
  return seen ? 0 : 1;
}
