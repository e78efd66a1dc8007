import { clampUtf8, escapeControls } from '../../base/text.ts';
import type { RunOutcome, RunProgress } from '../runner.ts';
import type { ContainerState, JobState, PodState } from './job-state.ts';

/** What a Job and its Pods say of a run. */
export type RunVerdict =
  | { readonly kind: 'underWay'; readonly progress: RunProgress; readonly heldUp: HoldUp | undefined }
  | {
      readonly kind: 'over';
      readonly outcome: RunOutcome;
      /** The Pod whose log tells of it; undefined when there is none. */
      readonly pod: PodState | undefined;
      /** Wall time in milliseconds. */
      readonly startedAt: number;
      readonly finishedAt: number;
    };

export interface RunSigns {
  readonly job: JobState;
  /** Whether the Job is no more in the API. */
  readonly isGone: boolean;
  readonly pods: readonly PodState[];
  /** Why it gets no Pod, in the words of the API server; undefined when that is not known. */
  readonly refusal: string | undefined;
  /** What it was held up by before: the same trouble is told in the same words, however often they change. */
  readonly heldUp: HoldUp | undefined;
  /** Wall time in milliseconds. */
  readonly nowMs: number;
}

/** What keeps a Pod's program from beginning. */
export interface HoldUp {
  /** The same for the same trouble, however its words change. */
  readonly cause: string;
  readonly text: string;
}

/** The longest that Kubernetes' words are quoted. */
const maxQuoteBytes = 500;
/** What a Pod as a whole says when something else than its program ended it. */
const endedByOthers: ReadonlySet<string> = new Set([
  'Evicted',
  'NodeLost',
  'Shutdown',
  'NodeShutdown',
  'Terminated',
]);
/** What a container says when its program could not even be begun. */
const notBegun: ReadonlySet<string> = new Set(['StartError', 'ContainerCannotRun', 'RunContainerError']);

/**
 * How a run stands.
 *
 * J1. It is over when its Job has ended, or is gone and none of its Pods can run any more.
 * J2. Its outcome is that of its newest Pod, as far as that says why it ended.
 * J3. A program has begun when that of any of its Pods has.
 */
export function judgeRun(signs: RunSigns): RunVerdict {
  const { job, isGone, nowMs } = signs;
  const pods = [...signs.pods].sort(byAge);
  const pod = pods.at(-1);
  const began = earliest(pods.map(({ agent }) => agent?.startedAt));
  if (job.end !== undefined) {
    const finishedAt = pod?.agent?.terminated?.finishedAt ?? (job.end.at || nowMs);
    return {
      kind: 'over',
      outcome: job.end.succeeded ? { kind: 'exited', code: 0 } : failureOf(job, pod),
      pod,
      startedAt: began ?? Math.min(job.createdAt, finishedAt),
      finishedAt,
    };
  }
  if (isGone && !pods.some(mayRun)) {
    const message = `its Job "${job.name}" was deleted; create the Task again to run it`;
    return {
      kind: 'over',
      outcome: { kind: 'lost', message },
      pod: undefined,
      startedAt: began ?? job.createdAt,
      finishedAt: nowMs,
    };
  }
  const found = pod === undefined ? refusalOf(job, signs.refusal) : holdUpOf(pod);
  const heldUp = found?.cause === signs.heldUp?.cause ? signs.heldUp : found;
  const progress = { startedAt: began, jobName: job.name, podName: pod?.name, heldUp: heldUp?.text };
  return { kind: 'underWay', progress, heldUp };
}

function refusalOf({ name }: JobState, words: string | undefined): HoldUp | undefined {
  if (words === undefined) return undefined;
  return {
    // How much of a quota is used changes all the time.
    cause: `no Pod: ${words.replace(/\d+/g, '')}`,
    text: `Job ${name} gets no Pod: ${quoted(words)}: mend that, or change spec.podOverrides`,
  };
}

/** What keeps the program of a Pod from beginning; undefined when nothing does that takes somebody's help. */
function holdUpOf(pod: PodState): HoldUp | undefined {
  if (pod.phase !== 'Pending') return undefined;
  const { name } = pod;
  if (pod.unschedulable !== undefined) {
    return {
      cause: `${name} unschedulable`,
      text: `Pod ${name} has no node yet: ${quoted(pod.unschedulable)}: make room, or change spec.podOverrides`,
    };
  }
  for (const container of [...pod.others, ...(pod.agent === undefined ? [] : [pod.agent])]) {
    const trouble = troubleOf(container);
    if (trouble !== undefined)
      return { cause: `${name} ${trouble.cause}`, text: `Pod ${name} waits: ${trouble.text}` };
  }
  return undefined;
}

/** Waiting is no trouble by itself: images are pulled, volumes are made. */
function troubleOf({ name, image, waiting }: ContainerState): HoldUp | undefined {
  if (waiting === undefined) return undefined;
  const { reason, message } = waiting;
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff':
    case 'InvalidImageName':
    case 'ErrImageNeverPull':
    case 'RegistryUnavailable':
      return {
        cause: `image ${image}`,
        text: `image "${quoted(image)}" cannot be pulled (${quoted(message || reason)}): check spec.image and spec.podOverrides.imagePullSecrets`,
      };
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
    case 'RunContainerError':
    case 'CrashLoopBackOff':
      return {
        cause: `container ${name} ${reason}`,
        text: `container ${quoted(name)} cannot be started (${reason}): ${quoted(message)}`,
      };
    default:
      return undefined;
  }
}

function failureOf({ name, end }: JobState, pod: PodState | undefined): RunOutcome {
  if (end?.reason === 'DeadlineExceeded' || pod?.reason === 'DeadlineExceeded') return { kind: 'deadline' };
  const why = said(end?.reason ?? '', end?.message ?? '');
  if (pod === undefined) return { kind: 'lost', message: `its Job "${name}" failed and has no Pod: ${why}` };
  if (pod.disruption !== undefined || endedByOthers.has(pod.reason)) {
    const words = said(pod.reason || 'DisruptionTarget', pod.message || (pod.disruption ?? ''));
    return { kind: 'stopped', message: `its Pod ${pod.name} was taken away by Kubernetes: ${words}` };
  }
  return (
    outcomeOf(pod) ?? {
      kind: 'lost',
      message: `its Pod ${pod.name} failed: ${said(pod.reason, pod.message) || why}`,
    }
  );
}

/** What the containers of a Pod that failed say of it. */
function outcomeOf({ agent, others }: PodState): RunOutcome | undefined {
  const failed = others.find(({ terminated }) => terminated !== undefined && terminated.exitCode !== 0);
  const end = agent?.terminated;
  if (end === undefined || end.exitCode === 0) {
    if (failed?.terminated === undefined) return undefined;
    const words = said(failed.terminated.reason, failed.terminated.message);
    const message = `container ${quoted(failed.name)} exited with status ${failed.terminated.exitCode}: ${words}`;
    return agent?.startedAt === undefined ? { kind: 'notStarted', message } : { kind: 'stopped', message };
  }
  if (notBegun.has(end.reason))
    return { kind: 'notStarted', message: `its program cannot be started: ${said(end.reason, end.message)}` };
  if (end.reason === 'OOMKilled')
    return {
      kind: 'stopped',
      message:
        'program was killed because its memory was used up (OOMKilled; see spec.podOverrides.resources)',
    };
  return { kind: 'exited', code: end.exitCode };
}

function mayRun({ phase }: PodState): boolean {
  return phase !== 'Succeeded' && phase !== 'Failed';
}

function byAge(a: PodState, b: PodState): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1);
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function said(reason: string, message: string): string {
  return [reason, message]
    .filter((part) => part !== '')
    .map(quoted)
    .join(': ');
}

/** Others' words as a part of one line. */
function quoted(words: string): string {
  return escapeControls(clampUtf8(words.trim().replace(/\s+/g, ' '), maxQuoteBytes));
}
