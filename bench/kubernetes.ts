import { BenchCluster } from './cluster.ts';
import { kubernetesLatency } from './kubernetes-latency.ts';
import { kubernetesStart } from './kubernetes-start.ts';
import { kubernetesThroughput } from './kubernetes-throughput.ts';
import type { Row } from './main.ts';
import type { Receivers } from './stand.ts';

/** The same engine with its resources in etcd, on a control plane of the bench's own. */
export async function* kubernetes(receivers: Receivers, programs: string): AsyncGenerator<Row, void> {
  const cluster = await BenchCluster.start(programs);
  try {
    yield* await kubernetesThroughput(cluster, receivers);
    yield* await kubernetesLatency(cluster, receivers);
    yield* await kubernetesStart(cluster, receivers);
  } finally {
    await cluster.stop();
  }
}
