import { describe, expect, test } from 'vitest';
import { readJob, readPod } from '../../../src/run/job/job-state.ts';
import { type HoldUp, judgeRun, type RunVerdict } from '../../../src/run/job/judge-run.ts';
import type { RunOutcome } from '../../../src/run/runner.ts';

const nowMs = Date.parse('2026-01-02T04:00:00Z');
const at = (minute: string): string => `2026-01-02T03:${minute}:00Z`;
const ms = (minute: string): number => Date.parse(at(minute));

type Condition = readonly [type: string, reason?: string, message?: string];

/** A Job as the API server has it. */
function jobOf(conditions: readonly Condition[] = [], env: object[] = []): object {
  return {
    metadata: {
      namespace: 'n',
      name: 'a',
      uid: 'job',
      creationTimestamp: at('00'),
      labels: { 'telos.dev/task-uid': 'task' },
      ownerReferences: [
        { apiVersion: 'kelos.dev/v1alpha2', kind: 'Task', name: 'a', uid: 'task', controller: true },
      ],
    },
    spec: { template: { spec: { containers: [{ name: 'kelos-agent', env }] } } },
    status: {
      conditions: conditions.map(([type, reason, message]) => ({
        type,
        status: 'True',
        reason,
        message,
        lastTransitionTime: at('30'),
      })),
    },
  };
}

interface PodGiven {
  readonly name?: string;
  readonly created?: string;
  readonly phase?: string;
  readonly agent?: object;
  readonly others?: object[];
  readonly init?: object[];
  readonly status?: object;
}

function podOf(given: PodGiven = {}): object {
  const { name = 'a-1', created = at('00'), phase = 'Pending', agent, others = [], init, status } = given;
  return {
    metadata: {
      namespace: 'n',
      name,
      uid: name,
      creationTimestamp: created,
      labels: { 'telos.dev/task-uid': 'task' },
      ownerReferences: [{ kind: 'Job', uid: 'job', controller: true }],
    },
    status: {
      phase,
      containerStatuses: [
        ...(agent === undefined ? [] : [{ name: 'kelos-agent', image: 'i', state: agent }]),
        ...others,
      ],
      ...(init === undefined ? {} : { initContainerStatuses: init }),
      ...status,
    },
  };
}

const runs = { running: { startedAt: at('05') } };
const exited = (exitCode: number, more: object = {}): object => ({
  terminated: { exitCode, startedAt: at('05'), finishedAt: at('20'), ...more },
});
const container = (name: string, state: object): object => ({ name, image: 'other', state });

function judge(
  job: object,
  pods: readonly object[],
  more: { isGone?: boolean; heldUp?: HoldUp; refusal?: string } = {},
): RunVerdict {
  const state = readJob(job);
  if (state === undefined) throw new Error('that is no Job of a Task');
  const seen = pods.map((pod) => readPod(pod)).filter((pod) => pod !== undefined);
  const { isGone = false, heldUp, refusal } = more;
  return judgeRun({ job: state, isGone, pods: seen, heldUp, refusal, nowMs });
}

describe('a run under way', () => {
  test.each<[string, readonly object[], object]>([
    ['has no Pod yet', [], { startedAt: undefined, podName: undefined, heldUp: undefined }],
    [
      'waits for its image',
      [podOf({ agent: { waiting: { reason: 'ContainerCreating' } } })],
      { podName: 'a-1', heldUp: undefined },
    ],
    [
      'runs',
      [podOf({ phase: 'Running', agent: runs })],
      { startedAt: ms('05'), podName: 'a-1', heldUp: undefined },
    ],
    [
      'has run, and its Job has not said so yet',
      [podOf({ phase: 'Succeeded', agent: exited(0) })],
      { startedAt: ms('05') },
    ],
    [
      'has begun, although a second Pod takes the place of the first',
      [podOf({ name: 'a-2', created: at('06') }), podOf({ phase: 'Failed', agent: exited(1) })],
      { startedAt: ms('05'), podName: 'a-2' },
    ],
  ])('%s', (_what, pods, progress) => {
    expect(judge(jobOf(), pods)).toMatchObject({ kind: 'underWay', progress: { jobName: 'a', ...progress } });
  });

  test.each<[string, PodGiven, RegExp]>([
    [
      'no node',
      {
        status: {
          conditions: [
            {
              type: 'PodScheduled',
              status: 'False',
              reason: 'Unschedulable',
              message: '0/3 nodes are available',
            },
          ],
        },
      },
      /^Pod a-1 has no node yet: 0\/3 nodes are available: make room/,
    ],
    [
      'an image that cannot be pulled',
      { agent: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off\npulling' } } },
      /^Pod a-1 waits: image "i" cannot be pulled \(Back-off pulling\): check spec\.image/,
    ],
    [
      'a Secret that is missing',
      { agent: { waiting: { reason: 'CreateContainerConfigError', message: 'secret "s" not found' } } },
      /^Pod a-1 waits: container kelos-agent cannot be started \(CreateContainerConfigError\): secret "s" not found$/,
    ],
    [
      'an init container that cannot be started',
      { init: [container('git', { waiting: { reason: 'ErrImagePull', message: 'not found' } })] },
      /^Pod a-1 waits: image "other" cannot be pulled \(not found\)/,
    ],
  ])('says that it is held up by %s', (_what, given, text) => {
    const verdict = judge(jobOf(), [podOf(given)]);
    expect(verdict).toMatchObject({ progress: { heldUp: expect.stringMatching(text) } });
  });

  test('says the same trouble in the same words, however they change', () => {
    const waiting = (reason: string, message: string): object =>
      podOf({ agent: { waiting: { reason, message } } });
    const first = judge(jobOf(), [waiting('ErrImagePull', 'not found')]);
    if (first.kind !== 'underWay' || first.heldUp === undefined) throw new Error('it is not held up');
    const { heldUp } = first;
    expect(judge(jobOf(), [waiting('ImagePullBackOff', 'Back-off')], { heldUp })).toEqual(first);
    const other = judge(jobOf(), [waiting('CreateContainerError', 'no command')], { heldUp });
    expect(other).toMatchObject({ progress: { heldUp: expect.stringContaining('no command') } });
    expect(judge(jobOf(), [podOf({ phase: 'Running', agent: runs })], { heldUp })).toMatchObject({
      progress: { heldUp: undefined },
    });
  });

  test('that gets no Pod says why, in the same words while only numbers change', () => {
    const words = 'exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1';
    const first = judge(jobOf(), [], { refusal: words });
    if (first.kind !== 'underWay') throw new Error('it is over');
    expect(first.progress.heldUp).toBe(`Job a gets no Pod: ${words}: mend that, or change spec.podOverrides`);
    const { heldUp } = first;
    const later = { refusal: words.replace('used: pods=1', 'used: pods=2'), ...(heldUp && { heldUp }) };
    expect(judge(jobOf(), [], later)).toMatchObject({ progress: first.progress });
    const other = { ...later, refusal: 'serviceaccount "x" not found' };
    expect(judge(jobOf(), [], other)).toMatchObject({
      progress: { heldUp: expect.stringContaining('serviceaccount "x" not found') },
    });
    expect(judge(jobOf(), [podOf({})], later)).toMatchObject({ progress: { heldUp: undefined } });
  });
});

const failed = (reason: string, message = ''): object => jobOf([['Failed', reason, message]]);
const failedPod = (given: PodGiven): object => podOf({ phase: 'Failed', ...given });

describe('a run that is over', () => {
  test('has succeeded when its Job is complete, from the first start of its program to the end', () => {
    const verdict = judge(jobOf([['Complete']]), [
      podOf({ phase: 'Failed', agent: exited(1) }),
      podOf({
        name: 'a-2',
        created: at('21'),
        phase: 'Succeeded',
        agent: { terminated: { exitCode: 0, startedAt: at('22'), finishedAt: at('25') } },
      }),
    ]);
    expect(verdict).toMatchObject({
      kind: 'over',
      outcome: { kind: 'exited', code: 0 },
      pod: { name: 'a-2' },
      startedAt: ms('05'),
      finishedAt: ms('25'),
    });
  });

  test('is not over while its Job only intends to end', () => {
    expect(judge(jobOf([['SuccessCriteriaMet'], ['FailureTarget']]), [])).toMatchObject({ kind: 'underWay' });
  });

  test.each<[string, object, readonly object[], Partial<RunOutcome> & { message?: unknown }]>([
    [
      'its program failed',
      failed('PodFailurePolicy'),
      [failedPod({ agent: exited(3) })],
      { kind: 'exited', code: 3 },
    ],
    ['it took too long', failed('DeadlineExceeded'), [], { kind: 'deadline' }],
    [
      'its Pod took too long',
      failed('PodFailurePolicy'),
      [failedPod({ agent: exited(137), status: { reason: 'DeadlineExceeded' } })],
      { kind: 'deadline' },
    ],
    [
      'it used up its memory',
      failed('PodFailurePolicy'),
      [failedPod({ agent: exited(137, { reason: 'OOMKilled' }) })],
      { kind: 'stopped', message: expect.stringContaining('memory') },
    ],
    [
      'its Pod was evicted',
      failed('BackoffLimitExceeded'),
      [failedPod({ status: { reason: 'Evicted', message: 'The node was low on resource: memory.' } })],
      {
        kind: 'stopped',
        message: 'its Pod a-1 was taken away by Kubernetes: Evicted: The node was low on resource: memory.',
      },
    ],
    [
      'its node was lost',
      failed('BackoffLimitExceeded'),
      [
        failedPod({
          agent: exited(137),
          status: {
            conditions: [
              {
                type: 'DisruptionTarget',
                status: 'True',
                reason: 'DeletionByPodGC',
                message: 'node is gone',
              },
            ],
          },
        }),
      ],
      {
        kind: 'stopped',
        message: 'its Pod a-1 was taken away by Kubernetes: DisruptionTarget: node is gone',
      },
    ],
    [
      'its program could not be started',
      failed('PodFailurePolicy'),
      [failedPod({ agent: exited(128, { reason: 'StartError', message: 'exec: no such file' }) })],
      { kind: 'notStarted', message: 'its program cannot be started: StartError: exec: no such file' },
    ],
    [
      'an init container failed',
      failed('PodFailurePolicy'),
      [
        failedPod({
          agent: { waiting: { reason: 'PodInitializing' } },
          init: [container('git', { terminated: { exitCode: 128, reason: 'Error' } })],
        }),
      ],
      { kind: 'notStarted', message: 'container git exited with status 128: Error' },
    ],
    [
      'a container beside it failed',
      failed('PodFailurePolicy'),
      [
        failedPod({
          agent: exited(0),
          others: [container('proxy', { terminated: { exitCode: 1, reason: 'Error' } })],
        }),
      ],
      { kind: 'stopped', message: 'container proxy exited with status 1: Error' },
    ],
    [
      'there is no Pod that says why',
      failed('BackoffLimitExceeded', 'Job has reached the specified backoff limit'),
      [],
      {
        kind: 'lost',
        message:
          'its Job "a" failed and has no Pod: BackoffLimitExceeded: Job has reached the specified backoff limit',
      },
    ],
    [
      'its Pod does not say why',
      failed('BackoffLimitExceeded', 'limit'),
      [failedPod({})],
      { kind: 'lost', message: 'its Pod a-1 failed: BackoffLimitExceeded: limit' },
    ],
  ])('says that %s', (_what, job, pods, outcome) => {
    expect(judge(job, pods)).toMatchObject({ kind: 'over', outcome });
  });

  test('is lost when its Job is deleted, as soon as none of its Pods can run any more', () => {
    const isGone = true;
    const pod = { phase: 'Running', agent: runs };
    expect(judge(jobOf(), [podOf(pod)], { isGone })).toMatchObject({ kind: 'underWay' });
    const over = judge(jobOf(), [podOf({ ...pod, phase: 'Failed' })], { isGone });
    const message = 'its Job "a" was deleted; create the Task again to run it';
    expect(over).toMatchObject({ kind: 'over', outcome: { kind: 'lost', message }, finishedAt: nowMs });
  });
});

describe('a Job', () => {
  test("is a Task's by its controller and its label together", () => {
    const job = jobOf() as { metadata: object };
    expect(readJob(job)).toMatchObject({ taskUid: 'task' });
    expect(readJob({ ...job, metadata: { ...job.metadata, labels: {} } })).toBeUndefined();
    expect(readJob({ ...job, metadata: { ...job.metadata, ownerReferences: [] } })).toBeUndefined();
    expect(readJob({ metadata: 'text' })).toBeUndefined();
    expect(readPod({ kind: 'Pod', metadata: job.metadata, status: {} })).toBeUndefined();
  });

  test('says whose values its program was given, and which of its own are none to tell', () => {
    const env = [
      { name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
      { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'MY_API_KEY', value: 'written-in-the-open' },
      { name: 'PLAIN', value: 'written-in-the-open-too' },
    ];
    expect(readJob(jobOf([], env))).toMatchObject({
      secrets: [{ name: 's', key: 'k' }],
      hidden: ['written-in-the-open'],
    });
  });
});
