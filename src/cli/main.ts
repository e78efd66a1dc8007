#!/usr/bin/env node
import { systemClock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type { CliIo } from './cli-io.ts';
import { OutputClosed, reportError, runCli, Stopped } from './program.ts';

const argv = process.argv.slice(2);
const stop = new AbortController();
const io: CliIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: systemClock,
  signal: stop.signal,
};

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

// A mistake of our own: one line, as for every other error.
process.on('uncaughtException', (error) => process.exit(reportError(error, argv, io)));

// The clock's timers do not keep a process; a command that waits for one must.
const alive = setInterval(() => {}, 2 ** 30);
const exitCode = await runCli(argv, io);
clearInterval(alive);
// Waiting for input that nobody wants any more would keep it too.
process.stdin.destroy();
process.exitCode = exitCode;
