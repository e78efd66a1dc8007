import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { Discovery } from './discovery.ts';
import { type LoadOptions, loadCluster } from './load-cluster.ts';
import { Transport } from './transport.ts';

export interface ConnectOptions extends LoadOptions {
  readonly log: Logger;
}

/** The one connection to an API server that all who work with it share. */
export interface ApiServer {
  readonly transport: Transport;
  readonly discovery: Discovery;
  readonly clock: Clock;
}

/**
 * Finds the API server that is meant, and says what is unwise about the way to it. Nothing is asked of it yet.
 * @throws StoreError `Unavailable` with the remedy when the kubeconfig cannot be used
 */
export async function connectApiServer(options: ConnectOptions): Promise<ApiServer> {
  const { clock, log } = options;
  const cluster = await loadCluster(options);
  for (const warning of cluster.warnings) log.warn(warning, { context: cluster.name });
  const transport = new Transport(cluster, clock);
  return { transport, discovery: new Discovery(transport), clock };
}
