#!/usr/bin/env node
import { systemClock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import { OutputClosed, runCli, Stopped } from './program.ts';

const stop = new AbortController();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    const reason = new Stopped(signal);
    // Asked twice: whatever is still under way is left as it is.
    if (stop.signal.aborted) process.exit(reason.exitCode);
    stop.abort(reason);
  });
}

process.stdout.on('error', (error) => {
  // Whoever read stdout (head, less) has seen enough.
  if (errorCode(error) !== 'EPIPE') throw error;
  stop.abort(new OutputClosed());
});
process.stderr.on('error', () => {});

const exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: systemClock,
  signal: stop.signal,
});
// Waiting for input that nobody wants any more would keep the process.
process.stdin.destroy();
process.exitCode = exitCode;
