import { abortable, sleep } from '../../base/abort.ts';
import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import { jsonEqual } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import { lastLineOf, parseOutputs } from '../outputs.ts';
import type { Run, RunProgress, RunRecord } from '../runner.ts';
import type { JobState, PodState } from './job-state.ts';
import { type HoldUp, judgeRun, type RunVerdict } from './judge-run.ts';

export interface JobRunOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Deletes the Job; resolves when that is under way. */
  readonly remove: (job: JobState, signal: AbortSignal) => Promise<void>;
  /** The end of what the program of a Pod has printed, without what must not be told. */
  readonly readTail: (job: JobState, pod: PodState, signal: AbortSignal) => Promise<string>;
  /** Ends what it is at. */
  readonly signal: AbortSignal;
}

/** How long the log of a run that is over is asked for. */
const readMs = 30_000;
const firstRetryMs = 250;
const maxRetryMs = 30_000;

type Over = Extract<RunVerdict, { kind: 'over' }>;

/** What is known of what a Pod has printed: its end, or why that cannot be read. */
type Tail = { readonly text: string } | { readonly fault: string };

/** One run as a Job. Whoever follows Jobs and Pods tells it what it sees; what it needs of a log it reads itself. */
export class JobRun implements Run {
  readonly #options: JobRunOptions;
  readonly #record: Promise<RunRecord>;
  #settle: (record: RunRecord) => void = () => {};
  #tell: () => void = () => {};
  #job: JobState;
  #isGone = false;
  #pods: readonly PodState[] = [];
  #refusal: string | undefined;
  #heldUp: HoldUp | undefined;
  #verdict: RunVerdict;
  #cancelled = false;
  /** Somebody waits for its end: before that, nothing is read for it. */
  #isAwaited = false;
  #isEnding = false;
  /** What was read of a Pod as soon as its program had ended: a Job that is stopped takes its Pods away. */
  #tail: { readonly podUid: string; readonly read: Promise<Tail> } | undefined;

  constructor(options: JobRunOptions, job: JobState, pods: readonly PodState[]) {
    this.#options = options;
    this.#job = job;
    this.#pods = pods;
    this.#verdict = this.#judge();
    this.#record = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get job(): JobState {
    return this.#job;
  }

  get progress(): RunProgress {
    return this.#verdict.kind === 'underWay'
      ? this.#verdict.progress
      : { startedAt: this.#verdict.startedAt, jobName: this.#job.name, podName: this.#verdict.pod?.name };
  }

  get isOver(): boolean {
    return this.#verdict.kind === 'over';
  }

  onProgress(tell: () => void): void {
    this.#tell = tell;
  }

  ended(signal: AbortSignal): Promise<RunRecord> {
    this.#isAwaited = true;
    this.#work();
    return abortable(this.#record, signal);
  }

  cancel(): void {
    if (this.#cancelled || this.isOver) return;
    this.#cancelled = true;
    void this.#remove();
  }

  /** What is seen now of its Job (`gone`: it is no more in the API; undefined: nothing new) and of its Pods. */
  update(job: JobState | 'gone' | undefined, pods: readonly PodState[]): void {
    if (this.isOver) return;
    if (job === 'gone') this.#isGone = true;
    else if (job !== undefined) this.#job = job;
    this.#pods = pods;
    if (pods.length > 0) this.#refusal = undefined;
    this.#lookAnew();
  }

  /** No Pod can be made for it, for this reason. */
  refused(words: string): void {
    if (this.isOver) return;
    this.#refusal = words;
    this.#lookAnew();
  }

  #lookAnew(): void {
    const before = this.progress;
    this.#verdict = this.#judge();
    this.#work();
    if (!this.isOver && !jsonEqual(before, this.progress)) this.#tell();
  }

  #judge(): RunVerdict {
    const verdict = judgeRun({
      job: this.#job,
      isGone: this.#isGone,
      pods: this.#pods,
      refusal: this.#refusal,
      heldUp: this.#heldUp,
      nowMs: this.#options.clock.now(),
    });
    this.#heldUp = verdict.kind === 'underWay' ? verdict.heldUp : undefined;
    return verdict;
  }

  #work(): void {
    if (!this.#isAwaited || this.#isEnding) return;
    const done = this.#pods.find(({ agent }) => agent?.terminated !== undefined);
    if (done !== undefined) void this.#tailOf(done);
    if (this.#verdict.kind !== 'over') return;
    this.#isEnding = true;
    void this.#end(this.#verdict);
  }

  async #end({ outcome, pod, startedAt, finishedAt }: Over): Promise<void> {
    const tail = pod?.agent?.startedAt === undefined ? { text: '' } : await this.#tailOf(pod);
    // The next engine reads it.
    if (this.#options.signal.aborted) return;
    const text = 'text' in tail ? tail.text : '';
    this.#settle({
      outcome,
      cancelled: this.#cancelled,
      startedAt,
      finishedAt: Math.max(finishedAt, startedAt),
      ...parseOutputs(text),
      lastLine: lastLineOf(text),
      podName: pod?.name,
      outputsFault: 'fault' in tail ? tail.fault : undefined,
    });
  }

  #tailOf(pod: PodState): Promise<Tail> {
    if (this.#tail?.podUid !== pod.uid) this.#tail = { podUid: pod.uid, read: this.#read(pod) };
    return this.#tail.read;
  }

  async #read(pod: PodState): Promise<Tail> {
    const { readTail, clock, signal } = this.#options;
    const timeout = new AbortController();
    const cancel = clock.after(readMs, () => timeout.abort());
    const either = AbortSignal.any([signal, timeout.signal]);
    let fault = 'its node does not answer in time';
    try {
      for (let retryMs = firstRetryMs; ; retryMs *= 2) {
        try {
          return { text: await readTail(this.#job, pod, either) };
        } catch (thrown) {
          if (!either.aborted) fault = toError(thrown).message;
          await sleep(retryMs, either, clock);
        }
      }
    } catch {
      return { fault };
    } finally {
      cancel();
    }
  }

  async #remove(): Promise<void> {
    const { remove, clock, log, signal } = this.#options;
    for (let retryMs = firstRetryMs; !signal.aborted; retryMs = Math.min(retryMs * 2, maxRetryMs)) {
      try {
        await remove(this.#job, signal);
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const { namespace, name } = this.#job;
        log.warn('a Job is deleted later', { job: `${namespace}/${name}`, error: toError(thrown).message });
        await sleep(retryMs, signal, clock).catch(() => {});
      }
    }
  }
}
