import type { JsonObject } from '../../base/json.ts';
import type { ListWatch } from '../../store/reflector.ts';
import type { Key } from '../../store/store.ts';
import type { Versioned } from '../../store/view.ts';

/** What came of making a Job. */
export type JobCreation =
  | { readonly kind: 'made'; readonly job: unknown }
  /** There is one of that name. */
  | { readonly kind: 'exists' }
  /** The API server will never take it. One line, in its words. */
  | { readonly kind: 'rejected'; readonly message: string }
  /** Not now: a quota is used up. One line, in the API server's words. */
  | { readonly kind: 'heldBack'; readonly message: string };

/**
 * What the Job runner needs of a Kubernetes API server. What it gives out is as the API server sent it: `readJob` and
 * `readPod` make sense of it. Errors are StoreError.
 */
export interface JobsApi {
  /** The Jobs that Telos has made, and their Pods. */
  readonly jobs: ListWatch<Versioned>;
  readonly pods: ListWatch<Versioned>;
  /** An apiVersion in which Tasks are served. */
  taskApiVersion(signal: AbortSignal): Promise<string>;
  create(key: Key, manifest: JsonObject, signal: AbortSignal): Promise<JobCreation>;
  /** Undefined when there is none of that name. */
  get(key: Key, signal: AbortSignal): Promise<unknown>;
  /**
   * Deletes the Job of that uid and ends its Pods: it goes after them (`Foreground`), so that who sees it gone knows
   * that nothing runs, or before them. One that is gone is fine.
   */
  delete(
    key: Key,
    uid: string,
    propagationPolicy: 'Foreground' | 'Background',
    signal: AbortSignal,
  ): Promise<void>;
  /** Why Jobs of a namespace get no Pods, by the uid of the Job, in the words of the API server. */
  podRefusals(namespace: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** The end of what a container has printed, at most so many bytes; undefined when it has printed nothing, or is gone. */
  logTail(pod: Key, container: string, maxBytes: number, signal: AbortSignal): Promise<string | undefined>;
}
