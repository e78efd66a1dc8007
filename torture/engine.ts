// The engine that is tortured: the program as it is shipped, on a clock that goes faster.
// TORTURE_STARTED_AT says when the torture began, so that one engine's time goes on where that of the last ended;
// TORTURE_SKEW_MS how wrong its clock is. File descriptor 3 is told of each connection that it makes: `from to` as ports,
// so that a receiver can tell engines apart that send the same.
import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { CliIo } from '../src/cli/cli-io.ts';
import { runCli } from '../src/cli/program.ts';
import { fastClock } from './fast-clock.ts';

subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket };
  // Before anybody writes to it: what has come was told of.
  socket.once('connect', () => writeSync(3, `${socket.localPort} ${socket.remotePort}\n`));
});
const { TORTURE_STARTED_AT, TORTURE_SKEW_MS } = process.env;
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const io: CliIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: fastClock(Number(TORTURE_STARTED_AT), Number(TORTURE_SKEW_MS)),
  signal: stop.signal,
};
process.exit(await runCli(process.argv.slice(2), io));
