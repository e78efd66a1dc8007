import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { type Ended, type TelosOptions, telos } from '../support/telos-program.ts';

/** A throw-away folder with a store in it, and the program working on that store. */
export interface Sandbox {
  readonly folder: string;
  readonly storePath: string;
  /** The same store, as an engine has it. */
  readonly store: ResourceStore;
  /** Runs the program. */
  telos(args: readonly string[], options?: TelosOptions): Promise<Ended>;
  /** Writes a file; returns its path. */
  file(name: string, content: string): Promise<string>;
  close(): Promise<void>;
}

export async function makeSandbox(): Promise<Sandbox> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-cli-'));
  const storePath = join(folder, 'telos.db');
  const store = await openSqliteStore({ path: storePath, clock: systemClock, log: silentLogger });
  return {
    folder,
    storePath,
    store,
    telos: (args, options = {}) =>
      telos(args, { ...options, env: { TELOS_STORE: `sqlite:${storePath}`, ...options.env } }),
    async file(name, content) {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
    async close() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A TaskSpawner that nothing is wrong with. */
export function spawnerManifest(name: string, schedule = '0 3 * * *'): string {
  return `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata:
  name: ${name}
  labels:
    team: night
spec:
  when:
    cron:
      schedule: "${schedule}"
  taskTemplate:
    type: command
    command: [echo, hello]
  onCompletion:
    hooks:
      - name: oncall
        phases: [Failed]
        webhook:
          url: https://hooks.example.com/services/SECRET-PATH
`;
}
