import { createInterface } from 'node:readline';
import type { Draft } from '../../src/api/kinds.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { StoreError } from '../../src/store/errors.ts';
import { acquireEngineLock } from '../../src/store/sqlite/engine-lock.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { compacted } from './compacted.ts';

// A second process on one store, for tests. Answers every line on stdin with one on stdout.
const [path = '', role = ''] = process.argv.slice(2);

function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}

function task(name: string, size = 0): Draft<'Task'> {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { name },
    spec: { type: 'command', command: ['true'], prompt: 'x'.repeat(size) },
  };
}

async function main(): Promise<void> {
  if (role === 'lock') {
    acquireEngineLock(path);
    tell(`locked by ${process.pid}`);
    setInterval(() => {}, 60_000);
    return;
  }
  if (role === 'delete Secret a and age') {
    const clock = new ManualClock();
    const store = await openSqliteStore({ path, clock, log: silentLogger });
    await store.delete('Secret', { namespace: 'default', name: 'a' });
    await compacted(clock, store, 'b');
    await store.close();
    tell('aged');
    return;
  }
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  tell('open');
  if (role === 'write forever') {
    for (let index = 0; ; index += 1) {
      await Promise.all([0, 1, 2].map((part) => store.create<'Task'>(task(`w${index}-${part}`))));
      tell(`${index}`);
    }
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb = '', name = '', size = '0'] = line.split(' ');
    try {
      if (verb === 'create') await store.create<'Task'>(task(name, Number(size)));
      if (verb === 'delete') await store.delete('Task', { namespace: 'default', name });
      if (verb === 'close') await store.close();
      tell('ok');
    } catch (thrown) {
      tell(thrown instanceof StoreError ? `${thrown.code}: ${thrown.message}` : String(thrown));
    }
    if (verb === 'close') return;
  }
}

void main();
