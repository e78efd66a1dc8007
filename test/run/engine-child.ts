/** An engine in a process of its own, to be killed: `engine-child STORE RUNS KEEPER`. */
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createProcessRunner } from '../../src/run/process/process-runner.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { startEngine } from './engine.ts';

async function main([path = '', directory = '', keeperPath = '']: readonly string[]): Promise<void> {
  const shared = { clock: systemClock, log: silentLogger };
  const store = await openSqliteStore({ path, ...shared });
  startEngine(store, createProcessRunner({ directory, keeperPath, ...shared }));
  process.stdout.write('up\n');
  // Until it is killed.
  setInterval(() => {}, 60_000);
}

void main(process.argv.slice(2));
