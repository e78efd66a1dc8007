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
  engine: 1,
  stay: { from: 0, to: 10 },
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
    engines: [],
    shards: undefined,
    excused: [],
    ...changes,
  };
}

function withStatus(status: Delivery['status']): Partial<Evidence> {
  return { deliveries: [{ ...delivery, status: { ...delivery.status, ...status } }] };
}

function withArrivals(...changes: Partial<Arrival>[]): Partial<Evidence> {
  return { arrivals: changes.map((change) => ({ ...arrival, ...change })) };
}

const late: Partial<Arrival> = { engine: 2, stay: { from: 20, to: 30 } };

describe('the judge of the torture', () => {
  it('finds nothing wrong when everything was told once', () => {
    expect(judge(evidence())).toEqual([]);
  });

  it('lets a kill between an answer and its record cost a second, equal POST', () => {
    expect(judge(evidence(withArrivals({}, late)))).toEqual([]);
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
    ['an attempt that one engine made twice', 'duplicate', withArrivals({}, { stay: { from: 20, to: 30 } })],
    ['an attempt that is not on record', 'duplicate', withArrivals({}, { attempt: 2 })],
    [
      'two attempts at once by two engines',
      'at once',
      withArrivals({}, { engine: 2, stay: { from: 9, to: 30 } }),
    ],
    ['two attempts at once by one engine', 'at once', withArrivals({}, { stay: { from: 9, to: 30 } })],
    ['an attempt begun while one has no end', 'at once', withArrivals({ stay: { from: 0 } }, late)],
    ['an attempt that was used up before', 'out of turn', withArrivals({ attempt: 2 }, late)],
    ['a POST that is not on record', 'phantom', withArrivals({}, { webhookId: otherId })],
    ['a Delivery of what never happened', 'phantom', { written: [{ ...written, runs: [] }] }],
    ['a second body', 'wrong message', withArrivals({}, { bodyHash: 'c', ...late })],
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

describe('the judge of engines side by side', () => {
  /** The second engine takes the shard of namespace default, the only one, when it is told. */
  function sideBySide(second: number | undefined, ...arrivals: Partial<Arrival>[]): Evidence {
    const takes = second === undefined ? [] : [{ shard: 0, at: second }];
    return evidence({
      ...withArrivals(...arrivals),
      shards: 1,
      engines: [
        { number: 1, takes: [{ shard: 0, at: 0 }], frozen: [{ from: 1_000, to: 4_000 }] },
        { number: 2, takes, frozen: [] },
      ],
    });
  }
  const open = { stay: { from: 900, to: 4_001 } };
  const meanwhile = { engine: 2, stay: { from: 3_000, to: 3_010 } };
  const afterwards = { stay: { from: 4_000.5, to: 4_100 } };
  const kindsOf = (found: Evidence): string[] => judge(found).map(({ kind }) => kind);

  it('lets a request stay open that was sent before its engine stood still', () => {
    expect(kindsOf(sideBySide(2_500, open, meanwhile))).toEqual([]);
  });

  it('counts that request as open for the engine that has sent it', () => {
    expect(kindsOf(sideBySide(2_500, { stay: { from: 900, to: 4_050 } }, afterwards))).toContain('at once');
  });

  it('counts it as open for the others until its engine stood still', () => {
    expect(kindsOf(sideBySide(500, open, { engine: 2, stay: { from: 950, to: 960 } }))).toContain('at once');
  });

  it('counts what an engine sends when it wakes', () => {
    const long = { engine: 2, stay: { from: 3_000, to: 4_200 } };
    expect(kindsOf(sideBySide(2_500, long, afterwards))).toContain('at once');
  });

  it('finds an engine that works on under a tenure that is over', () => {
    expect(kindsOf(sideBySide(2_500, meanwhile, afterwards))).toEqual(['out of turn']);
  });

  it('finds an engine that works on a shard which it did not take', () => {
    expect(kindsOf(sideBySide(undefined, { stay: { from: 900, to: 910 } }, meanwhile))).toEqual([
      'out of turn',
    ]);
  });

  it('lets an engine repeat an answered attempt only after it took the shard anew', () => {
    const [first, again] = [{ engine: 2, stay: { from: 2_600, to: 2_610 } }, meanwhile];
    expect(kindsOf(sideBySide(2_800, first, again))).toEqual([]);
    expect(kindsOf(sideBySide(2_000, first, again))).toEqual(['duplicate']);
  });
});
