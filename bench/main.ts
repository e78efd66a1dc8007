import { cpus, totalmem } from 'node:os';
import { controlPlanePrograms } from '../test/cluster/kit/control-plane.ts';
import { backlog } from './backlog.ts';
import { hanging } from './hanging.ts';
import { kubernetes } from './kubernetes.ts';
import { latency } from './latency.ts';
import { startReceivers } from './stand.ts';
import { start } from './start.ts';
import { throughput } from './throughput.ts';

/** One line of the table. */
export interface Row {
  readonly measure: string;
  readonly value: string;
  readonly goal: string;
}

/** Tasks, each with a Delivery, where there shall be many. */
const many = 100_000;
const noControlPlane =
  'no control plane to measure on: npm run test:cluster builds one, KUBEBUILDER_ASSETS names the folder of another';
/** As many origins as fill 64 connections. */
const origins = 4;

const receivers = await startReceivers(origins);
const benches: Readonly<Record<string, () => Promise<Row[]> | AsyncIterable<Row>>> = {
  throughput: () => throughput(receivers),
  latency: () => latency(receivers, many),
  hanging,
  start: () => start(receivers, many),
  backlog: () => backlog(receivers, many),
  kubernetes: () => {
    const programs = controlPlanePrograms();
    if (programs !== undefined) return kubernetes(receivers, programs);
    console.error(`error: bench kubernetes: ${noControlPlane}`);
    process.exitCode = 1;
    return Promise.resolve([]);
  },
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
  const rows = bench();
  // Those that take long tell what they have.
  for await (const { measure, value, goal } of rows instanceof Promise ? await rows : rows)
    console.log(`| ${measure} | ${value} | ${goal} |`);
}
process.exit();
