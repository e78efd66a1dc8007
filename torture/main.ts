import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type StandKind, stands } from './stands.ts';
import { summarize } from './summary.ts';
import { torture } from './torture.ts';

interface Defaults {
  readonly kills: number;
  readonly tasks: number;
  /** Engines that work side by side. */
  readonly replicas: number;
}

/** A quarter of an hour or so each. */
const defaults: Readonly<Record<StandKind, Defaults>> = {
  sqlite: { kills: 1000, tasks: 10_000, replicas: 1 },
  kubernetes: { kills: 200, tasks: 2_000, replicas: 2 },
};

const { values } = parseArgs({
  options: {
    kills: { type: 'string' },
    tasks: { type: 'string' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    store: { type: 'string', default: 'sqlite' },
    replicas: { type: 'string' },
  },
});
const { seed, store } = values;
if (!isStandKind(store)) refuse(`no store '${store}' can be tortured: use ${Object.keys(stands).join(', ')}`);
const kills = wholeNumber('--kills', values.kills ?? String(defaults[store].kills));
const tasks = wholeNumber('--tasks', values.tasks ?? String(defaults[store].tasks));
const replicas = wholeNumber('--replicas', values.replicas ?? String(defaults[store].replicas));
if (replicas < 1) refuse('--replicas: 0 of them do nothing; use 1 or more');
if (replicas > 1 && store === 'sqlite') refuse('--replicas: a file has one engine; use --store kubernetes');

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const folder = await mkdtemp(join(tmpdir(), 'telos-torture-'));
console.log(
  `seed ${seed}: ${tasks} Tasks, ${kills} kills, store ${store}, ${replicas} at a time, ${cpus().length} cores, Node ${process.version}\n`,
);
const passed = await run(store).catch((error: unknown) => {
  console.error(error);
  return false;
});
if (passed) await rm(folder, { recursive: true, force: true });
else {
  // A control plane goes with whoever started it.
  console.log(store === 'sqlite' ? `\nThe store is kept in ${folder}. To repeat:` : '\nTo repeat:');
  console.log(
    `  npm run torture -- --kills ${kills} --tasks ${tasks} --store ${store} --replicas ${replicas} --seed ${seed}`,
  );
}
process.exit(passed ? 0 : 1);

async function run(store: StandKind): Promise<boolean> {
  const startedAt = performance.now();
  const onProgress = (line: string): void => console.error(`  ${line}`);
  const result = await torture({ kills, tasks, seed, store, replicas, folder, onProgress });
  console.log(`\n${summarize(result, (performance.now() - startedAt) / 1000)}`);
  return result.faults.length === 0;
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  return refuse(`${flag} '${text}' is not a whole number`);
}

function isStandKind(name: string): name is StandKind {
  return Object.hasOwn(stands, name);
}

function refuse(message: string): never {
  console.error(`error: ${message}`);
  process.exit(2);
}
