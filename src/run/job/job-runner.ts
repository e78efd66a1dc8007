import { setMaxListeners } from 'node:events';
import { secretValue } from '../../api/secret.ts';
import { sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { TelosError, toError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isStoreError } from '../../store/errors.ts';
import { Informer } from '../../store/informer.ts';
import type { NamespaceAccess } from '../../store/namespace-access.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { Versioned, View } from '../../store/view.ts';
import { hiddenValues, withoutHidden } from '../hidden-values.ts';
import { outputsTailBytes } from '../outputs.ts';
import type { Run, Runner, RunRequest, StartResult } from '../runner.ts';
import { agentContainer, planJob } from './job-manifest.ts';
import { JobRun } from './job-run.ts';
import { type JobState, type PodState, readJob, readPod } from './job-state.ts';
import type { JobsApi } from './jobs-api.ts';
import { PodlessJobs } from './podless-jobs.ts';

export interface JobRunnerOptions {
  readonly api: JobsApi;
  /** Where the Secrets are whose values must not be told. */
  readonly store: Pick<ResourceStore, 'get'>;
  /** Where Jobs are; undefined: in all namespaces. */
  readonly namespaces?: readonly string[] | undefined;
  /** Which of them may be read now; undefined: all. */
  readonly access?: NamespaceAccess | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A Job that cannot be made or understood now. */
export class JobRunnerError extends TelosError {
  constructor(message: string, options?: ErrorOptions) {
    super('JobRunner', message, options);
  }
}

/** How often Jobs that were made but never seen are asked for: one may be deleted before anybody sees it. */
const unseenLookMs = 60_000;

/** Runs Tasks as Jobs of a Kubernetes cluster. */
export function createJobRunner(options: JobRunnerOptions): Runner {
  return new JobRunner(options);
}

/**
 * One watch of all Jobs and one of all Pods tell every run how it stands.
 *
 * A Task's Job has the name of the Task, so that it cannot be made twice; it is the Task's by its owner, not by its
 * name. It goes with the Task.
 */
class JobRunner implements Runner {
  /** The Task owns its Job, and the Job its Pods. */
  readonly goesWithTask = true;
  readonly #options: JobRunnerOptions;
  readonly #jobs: Informer<Versioned>;
  readonly #pods: Informer<Versioned>;
  readonly #jobView: View<JobState>;
  readonly #podView: View<PodState>;
  /** Runs that this process has started or found and that are not over, by uid of the Task. */
  readonly #runs = new Map<string, JobRun>();
  readonly #stopped = new AbortController();

  constructor(options: JobRunnerOptions) {
    this.#options = options;
    const { api } = options;
    this.#jobs = new Informer(api.jobs, options);
    this.#pods = new Informer(api.pods, options);
    this.#jobView = this.#jobs.view<JobState>({
      select: readJob,
      groupBy: ({ taskUid }) => taskUid,
      onChange: ({ before, now }) => {
        if (before !== undefined && before.uid !== now?.uid) this.#tell(before.taskUid, before.uid, 'gone');
        if (now !== undefined) this.#tell(now.taskUid, now.uid, now);
      },
    });
    this.#podView = this.#pods.view<PodState>({
      select: readPod,
      groupBy: ({ jobUid }) => jobUid,
      onChange: ({ before, now }) => {
        const pod = now ?? before;
        if (pod !== undefined) this.#tell(pod.taskUid, pod.jobUid, undefined);
      },
    });
  }

  get isSynced(): boolean {
    return this.#jobs.isSynced && this.#pods.isSynced;
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#jobs.synced(signal), this.#pods.synced(signal)]);
  }

  async follow(signal: AbortSignal): Promise<void> {
    // Every run waits on it, however many there are.
    setMaxListeners(0, this.#stopped.signal);
    signal.addEventListener('abort', () => this.#stopped.abort(), { once: true });
    const { api, clock, log } = this.#options;
    const podless = new PodlessJobs({
      api,
      clock,
      log,
      podless: () => this.#podless(),
      tell: (job, words) => this.#runs.get(job.taskUid)?.refused(words),
    });
    await Promise.all([
      this.#jobs.run(signal),
      this.#pods.run(signal),
      this.#lookForUnseen(signal),
      podless.look(signal),
    ]);
  }

  async start({ task, prompt }: RunRequest, signal: AbortSignal): Promise<StartResult> {
    const { api } = this.#options;
    const plan = planJob(task, prompt, await api.taskApiVersion(signal));
    if (plan.kind === 'refused') return plan;
    const { namespace, uid } = task.metadata;
    const key = { namespace, name: plan.name };
    const created = await api.create(key, plan.manifest, signal);
    switch (created.kind) {
      case 'rejected':
        return { kind: 'refused', message: created.message };
      case 'heldBack':
        return { kind: 'waiting', message: `room in a quota: ${created.message}` };
      case 'exists':
        return this.#adopt(key, uid, signal);
      case 'made':
        return { kind: 'started', run: this.#runOf(readOwn(created.job, plan.name)) };
    }
  }

  async find(uid: string, signal: AbortSignal): Promise<Run | undefined> {
    await this.synced(signal);
    const [job] = this.#jobView.group(uid);
    if (job !== undefined) return this.#runOf(job);
    return this.#runs.get(uid);
  }

  async forget(uid: string): Promise<void> {
    for (const job of this.#jobView.group(uid))
      await this.#options.api.delete(job, job.uid, 'Background', this.#stopped.signal);
  }

  /** Jobs belong to their Tasks: the cluster clears them up. */
  async list(): Promise<readonly string[]> {
    return [];
  }

  /** There is a Job of that name: of this Task, made by an engine that could not say so any more, or of another. */
  async #adopt(
    key: { readonly namespace: string; readonly name: string },
    taskUid: string,
    signal: AbortSignal,
  ): Promise<StartResult> {
    const found = await this.#options.api.get(key, signal);
    const job = readJob(found);
    if (job?.taskUid === taskUid) return { kind: 'started', run: this.#runOf(job) };
    if (found === undefined || job !== undefined)
      return { kind: 'waiting', message: `Job "${key.name}" of an earlier Task to be gone`, soon: true };
    return {
      kind: 'refused',
      message: `there is a Job "${key.name}" that Telos has not made: delete it, or give the Task another name`,
    };
  }

  #runOf(job: JobState): JobRun {
    const known = this.#runs.get(job.taskUid);
    if (known?.job.uid === job.uid) return known;
    const { clock, log, api } = this.#options;
    const run = new JobRun(
      {
        clock,
        log,
        remove: (gone, signal) => api.delete(gone, gone.uid, 'Foreground', signal),
        readTail: (of, pod, signal) => this.#readTail(of, pod, signal),
        signal: this.#stopped.signal,
      },
      job,
      [...this.#podView.group(job.uid)],
    );
    if (!run.isOver) this.#runs.set(job.taskUid, run);
    return run;
  }

  /** Tells the run of a Job, if it is one of ours, what is seen of it. */
  #tell(taskUid: string, jobUid: string, job: JobState | 'gone' | undefined): void {
    const run = this.#runs.get(taskUid);
    if (run?.job.uid !== jobUid) return;
    run.update(job, [...this.#podView.group(jobUid)]);
    if (run.isOver) this.#runs.delete(taskUid);
  }

  #podless(): readonly JobState[] {
    const jobs = [...this.#runs.values()].map(({ job }) => job);
    return jobs.filter(({ uid }) => [...this.#podView.group(uid)].length === 0);
  }

  async #lookForUnseen(signal: AbortSignal): Promise<void> {
    const { clock, api, log } = this.#options;
    while (!signal.aborted) {
      await sleep(unseenLookMs, signal, clock).catch(() => {});
      for (const { job } of this.#runs.values()) {
        if (signal.aborted) return;
        if (this.#jobView.get(job)?.uid === job.uid) continue;
        try {
          const found = readJob(await api.get(job, signal));
          this.#tell(job.taskUid, job.uid, found?.uid === job.uid ? found : 'gone');
        } catch (thrown) {
          log.debug('a Job is looked for later', { job: job.name, error: toError(thrown).message });
        }
      }
    }
  }

  async #readTail(job: JobState, pod: PodState, signal: AbortSignal): Promise<string> {
    const { namespace } = job;
    const key = { namespace, name: pod.name };
    const tail = await this.#options.api.logTail(key, agentContainer, outputsTailBytes, signal);
    if (tail === undefined || tail === '') return '';
    return withoutHidden(tail, [...job.hidden, ...(await this.#secretValues(job, signal))]);
  }

  /** What the program may have printed of the Secrets that it was given. */
  async #secretValues(job: JobState, signal: AbortSignal): Promise<readonly string[]> {
    const values: string[] = [];
    for (const name of new Set(job.secrets.map((use) => use.name))) {
      const uses = job.secrets.filter((use) => use.name === name);
      try {
        const secret = await this.#options.store.get(
          'Secret',
          { namespace: job.namespace, name },
          { signal },
        );
        const keys = uses.some(({ key }) => key === undefined)
          ? Object.keys(secret.data ?? {})
          : uses.map(({ key }) => key ?? '');
        values.push(...keys.flatMap((key) => secretValue(secret, key) ?? []));
      } catch (thrown) {
        // What is not known any more cannot be found either.
        if (!isStoreError(thrown, 'NotFound')) throw thrown;
      }
    }
    return hiddenValues(values, {});
  }
}

function readOwn(sent: unknown, name: string): JobState {
  const job = readJob(sent);
  if (job === undefined)
    throw new JobRunnerError(
      `Job "${name}" is not what was made: does something in the cluster change Jobs?`,
    );
  return job;
}
