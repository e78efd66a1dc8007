import type { BenchCluster } from './cluster.ts';
import type { Row } from './main.ts';
import { median } from './numbers.ts';
import type { Receivers } from './stand.ts';
import { type Started, startOnce } from './start.ts';

const kept = 20_000;
const runs = 5;

/** From the start of `telos up` to ready, and its memory then, with many finished Tasks and settled Deliveries kept. */
export async function kubernetesStart(cluster: BenchCluster, receivers: Receivers): Promise<Row[]> {
  const { kubeconfig, namespace } = await cluster.namespace();
  const delivery = await cluster.fillSettled(namespace, kept, receivers.urls);
  const args = ['--report', '--store', 'kubernetes', '--watch-namespace', namespace];
  const starts: Started[] = [];
  for (let run = 0; run < runs; run += 1) starts.push(await startOnce(args, { KUBECONFIG: kubeconfig }));
  const what = `with ${kept} Tasks and Deliveries kept`;
  const [seconds, megabytes] = [starts.map((one) => one.seconds), starts.map((one) => one.megabytes)];
  return [
    { measure: `start to ready ${what} (s)`, value: median(seconds).toFixed(1), goal: '≤ 15' },
    { measure: `RSS when ready ${what} (MB)`, value: median(megabytes).toFixed(0), goal: '≤ 300' },
    {
      measure: 'a settled Delivery in etcd (bytes)',
      value: String(await cluster.storedBytes('Delivery', delivery)),
      goal: '',
    },
  ];
}
