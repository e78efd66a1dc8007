import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { JobState } from './job-state.ts';
import type { JobsApi } from './jobs-api.ts';

export interface PodlessJobsOptions {
  readonly api: Pick<JobsApi, 'podRefusals'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The Jobs under way that have no Pod at this moment. */
  readonly podless: () => readonly JobState[];
  /** Told why a Job gets no Pod, in the words of the API server. */
  readonly tell: (job: JobState, words: string) => void;
}

/** A Job that has no Pod at two looks has trouble. */
const lookMs = 5_000;
/** The longest between two questions about a namespace where Jobs go on without Pods. */
const maxAskMs = 60_000;

interface Ask {
  dueMs: number;
  delayMs: number;
}

/**
 * Finds out why Jobs get no Pods: quotas, limits, admission, accounts that are not there. Kubernetes says so nowhere
 * but in Events, so these are asked for, one question for each namespace, and only while a Job lacks its Pod.
 */
export class PodlessJobs {
  readonly #options: PodlessJobsOptions;
  #before: ReadonlySet<string> = new Set();
  readonly #asks = new Map<string, Ask>();

  constructor(options: PodlessJobsOptions) {
    this.#options = options;
  }

  /** Looks again and again until the signal aborts. */
  async look(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(lookMs, signal, this.#options.clock).catch(() => {});
      if (!signal.aborted) await this.#lookOnce(signal);
    }
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    const jobs = this.#options.podless();
    const lasting = jobs.filter(({ uid }) => this.#before.has(uid));
    this.#before = new Set(jobs.map(({ uid }) => uid));
    const namespaces = new Set(lasting.map(({ namespace }) => namespace));
    for (const namespace of this.#asks.keys()) if (!namespaces.has(namespace)) this.#asks.delete(namespace);
    for (const namespace of namespaces) {
      if (!this.#isDue(namespace)) continue;
      const lacking = lasting.filter((job) => job.namespace === namespace);
      await this.#ask(namespace, lacking, signal);
    }
  }

  #isDue(namespace: string): boolean {
    const nowMs = this.#options.clock.monotonic();
    const ask = this.#asks.get(namespace) ?? { dueMs: nowMs, delayMs: lookMs };
    if (ask.dueMs > nowMs) return false;
    this.#asks.set(namespace, {
      dueMs: nowMs + ask.delayMs,
      delayMs: Math.min(ask.delayMs * 2, maxAskMs),
    });
    return true;
  }

  async #ask(namespace: string, lacking: readonly JobState[], signal: AbortSignal): Promise<void> {
    const { api, log, tell } = this.#options;
    try {
      const refusals = await api.podRefusals(namespace, signal);
      for (const job of lacking) {
        const words = refusals.get(job.uid);
        if (words !== undefined) tell(job, words);
      }
    } catch (thrown) {
      if (!signal.aborted)
        log.debug('why Jobs have no Pods is asked later', { namespace, error: toError(thrown).message });
    }
  }
}
