// Runs programs for the tests, and never lets one outlive them: when its parent is gone, however that came to be,
// so are they, all that they started, and their folder. Plain JavaScript, because plain Node runs it.
import { spawn } from 'node:child_process';
import { closeSync, createWriteStream, openSync, rmSync } from 'node:fs';
import { ContainerLogWriter } from './container-log-writer.mjs';

/** How long output is read on after the program's end, when something that left its group holds it open. */
const drainMs = 500;

const [, , folder] = process.argv;
const running = new Map();
let ending = false;

process.on('message', ({ id, program }) => start(id, program));
process.on('disconnect', end);
// Ctrl-C reaches the whole group: the parent decides what it means.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

function start(id, { command, args, cwd, env, log, lines }) {
  if (ending) return;
  const file = lines ? undefined : openSync(log, 'a');
  const stdio = lines ? ['ignore', 'pipe', 'pipe'] : ['ignore', file, file];
  const child = spawn(command, args, { cwd, env, stdio, detached: true });
  if (file !== undefined) closeSync(file);
  child.on('error', (error) => {
    if (child.pid === undefined) tell({ id, failed: error.message });
  });
  if (child.pid === undefined) return;
  running.set(id, child);
  tell({ id, pid: child.pid });
  const logged = lines ? keepLog(child, log) : Promise.resolve();
  child.on('exit', async (code, signal) => {
    // As in a container: what the first process leaves behind goes with it.
    killGroup(child);
    await logged;
    running.delete(id);
    tell({ id, code, signal });
    if (ending && running.size === 0) finish();
  });
}

async function keepLog(child, log) {
  const file = createWriteStream(log);
  const streams = { stdout: child.stdout, stderr: child.stderr };
  child.on('exit', () => setTimeout(() => destroy(Object.values(streams)), drainMs).unref());
  await Promise.all(
    Object.entries(streams).map(([name, stream]) => {
      const writer = new ContainerLogWriter(name, (entries) => file.write(entries));
      stream.on('data', (chunk) => writer.append(chunk));
      return new Promise((resolve) => stream.on('close', () => resolve(writer.end())));
    }),
  );
  await new Promise((resolve) => file.end(resolve));
}

function destroy(streams) {
  for (const stream of streams) stream.destroy();
}

function end() {
  ending = true;
  for (const child of running.values()) killGroup(child);
  if (running.size === 0) finish();
}

function finish() {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.exit();
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}

function tell(message) {
  if (process.connected) process.send(message);
}
