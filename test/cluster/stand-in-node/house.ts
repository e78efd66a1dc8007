import type { ClusterClient } from '../kit/cluster-client.ts';
import type { Supervisor } from '../kit/supervised.ts';

/** What everything on the node shares. */
export interface House {
  readonly client: ClusterClient;
  readonly supervisor: Supervisor;
  /** Aborts when the node stops. */
  readonly signal: AbortSignal;
  /** How long until what failed is tried again: restarts, missing Secrets, an API server that is away. */
  readonly retryMs: number;
}
