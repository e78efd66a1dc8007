// The engine that is tortured: the program as it is shipped, on a clock that goes faster.
// TORTURE_STARTED_AT says when the torture began, so that one engine's time goes on where that of the last ended.
import type { CliIo } from '../src/cli/cli-io.ts';
import { runCli } from '../src/cli/program.ts';
import { fastClock } from './fast-clock.ts';

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const io: CliIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: fastClock(Number(process.env['TORTURE_STARTED_AT'])),
  signal: stop.signal,
};
process.exit(await runCli(process.argv.slice(2), io));
