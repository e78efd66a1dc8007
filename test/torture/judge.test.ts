import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import { onCompletionFinalizer, reportedPhaseAnnotation } from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import { type Evidence, judge } from '../../torture/judge.ts';
import type { Arrival } from '../../torture/ledger.ts';
import { roles } from '../../torture/roles.ts';
import type { WrittenTask } from '../../torture/writer.ts';

const completionTime = '2026-01-02T03:04:05Z';
const times = { creationTimestamp: completionTime, generation: 1, resourceVersion: '1' };
const id = 'msg_aaaaaaaaaaaaaaaaaaaaaaaaaa';
const otherId = 'msg_bbbbbbbbbbbbbbbbbbbbbbbbbb';

const written: WrittenTask = {
  name: 'task-1',
  uid: 'u1',
  hooks: [{ name: 'well', webhook: { url: 'https://127.0.0.1/well' } }],
  runs: [{ phase: 'Failed', completionTime, certain: true }],
  deleted: false,
};

const task: Task = {
  apiVersion: 'kelos.dev/v1alpha2',
  kind: 'Task',
  metadata: {
    ...times,
    name: 'task-1',
    namespace: 'default',
    uid: 'u1',
    annotations: { [reportedPhaseAnnotation]: 'Failed' },
  },
  spec: { type: 'command' },
};

const delivery: Delivery = {
  apiVersion: 'telos.dev/v1alpha1',
  kind: 'Delivery',
  metadata: { ...times, name: 'msg-a', namespace: 'default', uid: 'u2' },
  spec: {
    id,
    task: { name: 'task-1', uid: 'u1', phase: 'Failed', completionTime },
    hook: { name: 'well' },
    payload: { task: 'task-1', namespace: 'default', phase: 'Failed', completionTime },
  },
  status: {
    phase: 'Delivered',
    reason: 'Delivered',
    attemptCount: 1,
    attempts: [{ number: 1, at: completionTime, reason: 'Delivered', httpStatus: 204 }],
  },
};

const arrival: Arrival = {
  role: 'well',
  webhookId: id,
  attempt: 1,
  life: 1,
  bodyHash: 'b',
  about: { task: 'task-1', phase: 'Failed', completionTime },
  answer: { status: 204 },
  fault: undefined,
};

function evidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    roles,
    written: [written],
    tasks: [task],
    deliveries: [delivery],
    arrivals: [arrival],
    ...changes,
  };
}

function withStatus(status: Delivery['status']): Partial<Evidence> {
  return { deliveries: [{ ...delivery, status: { ...delivery.status, ...status } }] };
}

function withArrivals(...changes: Partial<Arrival>[]): Partial<Evidence> {
  return { arrivals: changes.map((change) => ({ ...arrival, ...change })) };
}

describe('the judge of the torture', () => {
  it('finds nothing wrong when everything was told once', () => {
    expect(judge(evidence())).toEqual([]);
  });

  it('lets a kill between an answer and its record cost a second, equal POST', () => {
    expect(judge(evidence(withArrivals({}, { life: 2 })))).toEqual([]);
  });

  it('asks for nothing of a failure that was over before anybody saw it', () => {
    const runs = [{ phase: 'Succeeded' as const, completionTime, certain: false }, ...written.runs];
    expect(judge(evidence({ written: [{ ...written, runs }] }))).toEqual([]);
  });

  it('lets a Delivery be skipped whose first attempt was cut short by a kill', () => {
    const hook = { name: 'gone' };
    const skipped: Delivery = {
      ...delivery,
      spec: { ...delivery.spec, hook },
      status: { phase: 'Skipped', reason: 'Gone' },
    };
    const hooks = [{ name: 'gone', webhook: { url: 'https://127.0.0.1/gone' } }];
    const answered = withArrivals({ role: 'gone', answer: { status: 410 } });
    expect(judge(evidence({ ...answered, written: [{ ...written, hooks }], deliveries: [skipped] }))).toEqual(
      [],
    );
  });

  const { finalizers: _, ...metadata } = task.metadata;
  it.each<[string, string, Partial<Evidence>]>([
    ['an end without a Delivery', 'lost', { deliveries: [], arrivals: [] }],
    ['a Delivery that says Delivered and never arrived', 'lost', { arrivals: [] }],
    ['one that arrived and was answered something else', 'lost', withArrivals({ answer: { status: 500 } })],
    ['one that arrived at another attempt', 'lost', withArrivals({ attempt: 2 })],
    ['a Delivery that waits', 'unsettled', withStatus({ phase: 'Retrying' })],
    [
      'two Deliveries of one end',
      'duplicate',
      { deliveries: [delivery, { ...delivery, spec: { ...delivery.spec, id: otherId } }] },
    ],
    ['a second webhook-id for one message', 'duplicate', withArrivals({}, { webhookId: otherId })],
    ['an attempt that one engine made twice', 'duplicate', withArrivals({}, {})],
    ['an attempt that is not on record', 'duplicate', withArrivals({}, { attempt: 2 })],
    ['a POST that is not on record', 'phantom', withArrivals({}, { webhookId: otherId })],
    ['a Delivery of what never happened', 'phantom', { written: [{ ...written, runs: [] }] }],
    ['a second body', 'wrong message', withArrivals({}, { bodyHash: 'c', life: 2 })],
    ['a body about another Task', 'wrong message', withArrivals({ about: { task: 'task-2' } })],
    ['a POST to another receiver', 'wrong message', withArrivals({ role: 'slow' })],
    ['a wrong signature', 'wrong message', withArrivals({ fault: 'the signature is wrong' })],
    ['a failure at a receiver that is well', 'wrong outcome', withStatus({ phase: 'Failed' })],
    [
      'an attempt that ended as no attempt there can',
      'wrong outcome',
      withStatus({ attempts: [{ number: 1, at: completionTime, reason: 'Gone', httpStatus: 204 }] }),
    ],
    [
      'an answer that was never given',
      'wrong outcome',
      withStatus({ attempts: [{ number: 1, at: completionTime, reason: 'Delivered', httpStatus: 200 }] }),
    ],
    [
      'a Task that is still held',
      'held',
      { tasks: [{ ...task, metadata: { ...metadata, finalizers: [onCompletionFinalizer] } }] },
    ],
    ['a Task that was deleted and is still there', 'held', { written: [{ ...written, deleted: true }] }],
    ['a Task without its mark', 'held', { tasks: [{ ...task, metadata: { ...metadata, annotations: {} } }] }],
    ['a Task that is not there', 'lost', { tasks: [] }],
  ])('finds %s', (_what, kind, changes) => {
    const found = judge(evidence(changes));
    expect(found.map((fault) => fault.kind)).toContain(kind);
    for (const { subject } of found) expect(subject).toMatch(/task-|msg-a/);
  });
});
