import { createInterface } from 'node:readline';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { StoreError } from '../../src/store/errors.ts';
import { acquireEngineLock } from '../../src/store/sqlite/engine-lock.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

// A second process on one store, for tests. Answers every line on stdin with one on stdout.
const [path = '', role = ''] = process.argv.slice(2);

function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}

function workspace(
  name: string,
  size = 0,
): {
  apiVersion: string;
  kind: 'Workspace';
  metadata: { name: string; annotations: Record<string, string> };
  spec: { repo: string };
} {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Workspace',
    metadata: { name, annotations: { fill: 'x'.repeat(size) } },
    spec: { repo: 'https://example.com/r.git' },
  };
}

async function main(): Promise<void> {
  if (role === 'lock') {
    acquireEngineLock(path);
    tell(`locked by ${process.pid}`);
    setInterval(() => {}, 60_000);
    return;
  }
  const store = await openSqliteStore({ path, clock: systemClock, log: silentLogger });
  tell('open');
  if (role === 'write forever') {
    for (let index = 0; ; index += 1) {
      await Promise.all([0, 1, 2].map((part) => store.create<'Workspace'>(workspace(`w${index}-${part}`))));
      tell(`${index}`);
    }
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb = '', name = '', size = '0'] = line.split(' ');
    try {
      if (verb === 'create') await store.create<'Workspace'>(workspace(name, Number(size)));
      if (verb === 'delete') await store.delete('Workspace', { namespace: 'default', name });
      if (verb === 'close') await store.close();
      tell('ok');
    } catch (thrown) {
      tell(thrown instanceof StoreError ? `${thrown.code}: ${thrown.message}` : String(thrown));
    }
    if (verb === 'close') return;
  }
}

void main();
