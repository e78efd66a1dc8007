import { cpus, totalmem } from 'node:os';
import { latency } from './latency.ts';
import { start } from './start.ts';
import { throughput } from './throughput.ts';

/** One line of the table. */
export interface Row {
  readonly measure: string;
  readonly value: string;
  readonly goal: string;
}

const kept = 100_000;
const benches: Readonly<Record<string, () => Promise<Row[]>>> = {
  throughput,
  latency: () => latency(kept),
  start: () => start(kept),
};

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(benches, name));
if (unknown !== undefined) {
  console.error(`error: no bench ${unknown}: choose from ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}

console.log(`${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}\n`);
console.log('| measure | value | goal |\n|---|---|---|');
for (const [name, bench] of Object.entries(benches)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  for (const { measure, value, goal } of await bench()) console.log(`| ${measure} | ${value} | ${goal} |`);
}
process.exit(0);
