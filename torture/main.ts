import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type StandKind, stands } from './stand.ts';
import { summarize } from './summary.ts';
import { forget, torture } from './torture.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    tasks: { type: 'string', default: '10000' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    store: { type: 'string', default: 'sqlite' },
  },
});
const kills = wholeNumber('--kills', values.kills);
const tasks = wholeNumber('--tasks', values.tasks);
const { seed, store } = values;
if (!isStandKind(store)) refuse(`no store '${store}' can be tortured: use ${Object.keys(stands).join(', ')}`);

console.log(
  `seed ${seed}: ${tasks} Tasks, ${kills} kills, store ${store}, ${cpus().length} cores, Node ${process.version}\n`,
);
const startedAt = performance.now();
const result = await torture({
  kills,
  tasks,
  seed,
  store,
  onProgress: (line) => console.error(`  ${line}`),
});
const seconds = (performance.now() - startedAt) / 1000;
console.log(summarize(result, seconds));
if (result.faults.length === 0) {
  await forget(result);
  process.exit(0);
}
console.log(`\nThe store is kept in ${result.folder}. To repeat:`);
console.log(`  npm run torture -- --kills ${kills} --tasks ${tasks} --store ${store} --seed ${seed}`);
process.exit(1);

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
