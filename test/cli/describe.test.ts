import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import type { DeliverySpec, DeliveryStatus } from '../../src/api/delivery.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EventRecorder, subjectOf } from '../../src/store/event-recorder.ts';
import { makeSandbox, type Sandbox, spawnerManifest } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await makeSandbox();
});
afterEach(() => sandbox.close());

interface DeliveryInput {
  readonly name: string;
  readonly hook: string;
  readonly task: string;
  readonly taskUid?: string;
  readonly status: DeliveryStatus;
}

let number = 0;

async function createDelivery({ name, hook, task, taskUid = 'uid', status }: DeliveryInput): Promise<void> {
  number += 1;
  const spec: z.infer<typeof DeliverySpec> = {
    id: `msg_${String(number).padStart(26, '0')}`,
    task: {
      name: task,
      uid: taskUid,
      phase: 'Failed',
      completionTime: '2026-01-02T03:04:05Z',
      spawner: 'nightly',
    },
    hook: { name: hook, webhook: { url: 'https://hooks.example.com/services/SECRET-PATH' } },
    payload: { task, namespace: 'default', phase: 'Failed' },
  };
  await sandbox.store.create<'Delivery'>({
    apiVersion: 'telos.dev/v1alpha1',
    kind: 'Delivery',
    metadata: { name, namespace: 'default', labels: { 'telos.dev/task': task, 'telos.dev/hook': hook } },
    spec,
  });
  await sandbox.store.patch(
    'Delivery',
    { namespace: 'default', name },
    { status },
    { subresource: 'status' },
  );
}

const retrying: DeliveryStatus = {
  phase: 'Retrying',
  attemptCount: 2,
  nextAttemptAt: '2999-01-01T00:00:00.000Z',
  reason: 'HTTPStatus',
  message: 'HTTP 500',
  attempts: [
    {
      number: 1,
      at: '2026-01-02T03:04:05.100Z',
      reason: 'Connect',
      message: 'connection refused',
      durationMs: 3,
    },
    {
      number: 2,
      at: '2026-01-02T03:04:10.200Z',
      reason: 'HTTPStatus',
      message: 'the receiver is ill',
      httpStatus: 500,
      address: '203.0.113.9:443',
      durationMs: 36,
      dnsMs: 2,
      connectMs: 10,
      tlsMs: 20,
      firstByteMs: 3,
      answer: 'oops\\x1b[2J',
    },
  ],
};

describe('describe', () => {
  test("tells a Task's story: what it is, what came of it, who was told", async () => {
    await sandbox.telos([
      'run',
      '--name',
      't',
      '--hook',
      'https://hooks.example.com/SECRET-PATH',
      '--',
      'make',
      'all it',
    ]);
    const task = await sandbox.store.patch(
      'Task',
      { namespace: 'default', name: 't' },
      {
        status: {
          phase: 'Failed',
          message: 'exit status 2',
          startTime: '2026-01-02T03:00:00Z',
          completionTime: '2026-01-02T03:04:05Z',
          outputs: ['branch: b'],
          results: { branch: 'b' },
        },
      },
      { subresource: 'status' },
    );
    await createDelivery({
      name: 'd1',
      hook: 'run-1',
      task: 't',
      taskUid: task.metadata.uid,
      status: retrying,
    });
    await createDelivery({ name: 'd2', hook: 'other', task: 't', taskUid: 'an earlier one', status: {} });
    const { stdout } = await sandbox.telos(['describe', 'task', 't']);
    expect(stdout).toMatch(/^Phase: +Failed$/m);
    expect(stdout).toMatch(/^Message: +exit status 2$/m);
    expect(stdout).toMatch(/^Command: +make "all it"$/m);
    expect(stdout).toMatch(/^Took: +4m5s$/m);
    expect(stdout).toContain('Results:\n  branch: b\n');
    expect(stdout).toContain('Hooks:\n  run-1: both phases to https://hooks.example.com\n');
    expect(stdout).toMatch(
      /Deliveries:\n {2}run-1: Retrying \(2 attempts, HTTPStatus\): HTTP 500; next attempt in \d+y .*\[d1\]\n/,
    );
    expect(stdout).not.toContain('d2');
    expect(stdout).not.toContain('SECRET-PATH');
  });

  test('tells of a Delivery attempt by attempt', async () => {
    await createDelivery({ name: 'd1', hook: 'oncall', task: 't', status: retrying });
    for (const args of [
      ['describe', 'delivery/d1'],
      ['deliveries', 'show', 'd1'],
    ]) {
      const { stdout } = await sandbox.telos(args);
      expect(stdout).toContain(
        [
          'Attempts:',
          '  1. 2026-01-02T03:04:05.100Z  Connect: connection refused',
          '     took 3 ms',
          '  2. 2026-01-02T03:04:10.200Z  HTTPStatus by 203.0.113.9:443 with HTTP 500: the receiver is ill',
          '     took 36 ms (DNS 2 ms, connect 10 ms, TLS 20 ms, first byte 3 ms)',
          '     answer: oops\\x1b[2J',
          '',
        ].join('\n'),
      );
      expect(stdout).toMatch(/^Target: +https:\/\/hooks\.example\.com$/m);
    }
  });

  test("shows a TaskSpawner's counts, conditions and Events, and no path of a hook", async () => {
    await sandbox.telos(['apply', '-f', '-'], { stdin: spawnerManifest('nightly') });
    const spawner = await sandbox.store.patch(
      'TaskSpawner',
      { namespace: 'default', name: 'nightly' },
      {
        status: {
          phase: 'Running',
          activeTasks: 2,
          waitingTasks: 3,
          totalTasksCreated: 7,
          conditions: [
            {
              type: 'MaxTotalTasksReached',
              status: 'False',
              reason: 'LimitAvailable',
              message: 'more may come',
              lastTransitionTime: '2026-01-02T03:04:05Z',
            },
          ],
        },
      },
      { subresource: 'status' },
    );
    const events = new EventRecorder(sandbox.store, systemClock, silentLogger);
    events.record(subjectOf(spawner), 'Warning', 'Filtered', 'author is not on the list');
    await events.flush();
    const { stdout } = await sandbox.telos(['describe', 'ts', 'nightly']);
    for (const [label, value] of [
      ['Active', '2'],
      ['Waiting', '3'],
      ['Created', '7'],
      ['Source', 'cron'],
    ]) {
      expect(stdout).toMatch(new RegExp(`^${label}: +${value}$`, 'm'));
    }
    expect(stdout).toContain('Conditions:\n  MaxTotalTasksReached: False (LimitAvailable): more may come\n');
    expect(stdout).toMatch(/Events:\n {2}\d+s ago {2}Warning {2}Filtered: author is not on the list\n/);
    expect(stdout).not.toContain('SECRET-PATH');
  });
});

describe('deliveries', () => {
  beforeEach(async () => {
    await createDelivery({ name: 'ill', hook: 'oncall', task: 't', status: retrying });
    await createDelivery({
      name: 'lost',
      hook: 'chat',
      task: 't',
      status: {
        phase: 'Failed',
        reason: 'Exhausted',
        settledAt: new Date().toISOString().slice(0, 19).concat('Z'),
      },
    });
    await createDelivery({ name: 'new', hook: 'chat', task: 'u', status: {} });
  });

  test.each([
    [[], ['ill', 'lost', 'new']],
    [['--phase', 'Pending'], ['new']],
    [['--phase', 'Failed'], ['lost']],
    [
      ['--hook', 'chat'],
      ['lost', 'new'],
    ],
    [
      ['--task', 't'],
      ['ill', 'lost'],
    ],
    [['--reason', 'Exhausted'], ['lost']],
    [['--since', '1h', '--hook', 'oncall'], ['ill']],
    [['--task', 'nobody'], []],
  ])('list %j', async (filters, names) => {
    const { stdout } = await sandbox.telos(['deliveries', 'list', ...filters, '-o', 'name']);
    expect(stdout.split('\n').filter(Boolean)).toEqual(names.map((name) => `delivery/${name}`));
  });

  test('list shows them as kubectl does', async () => {
    const { stdout } = await sandbox.telos(['deliveries', 'list', '--hook', 'oncall']);
    expect(stdout).toMatch(
      /^NAME +TASK +HOOK +PHASE +ATTEMPTS +REASON +NEXT +AGE\nill +t +oncall +Retrying +2 +HTTPStatus +in /,
    );
  });

  async function asked(name: string): Promise<string | undefined> {
    const { metadata } = await sandbox.store.get('Delivery', { namespace: 'default', name });
    return metadata.annotations?.['telos.dev/redeliver'];
  }

  test('redeliver asks for a fresh schedule of the ones named', async () => {
    const { stdout } = await sandbox.telos(['deliveries', 'redeliver', 'ill', 'delivery/lost']);
    expect(stdout).toBe('delivery/ill redelivered\ndelivery/lost redelivered\n');
    expect(await asked('ill')).toBeDefined();
    expect(await asked('new')).toBeUndefined();
    expect((await sandbox.telos(['deliveries', 'redeliver', 'nobody'])).exitCode).toBe(1);
    expect((await sandbox.telos(['deliveries', 'redeliver', 'task/t'])).exitCode).toBe(2);
  });

  test('recover takes all that failed lately', async () => {
    const { stdout } = await sandbox.telos(['deliveries', 'recover', '--since', '1h']);
    expect(stdout).toBe('delivery/lost redelivered\n');
    expect((await sandbox.telos(['deliveries', 'recover', '--since', '1h', '--hook', 'oncall'])).stdout).toBe(
      '',
    );
  });

  test('list says Pending where there was no attempt yet, and now where one is late', async () => {
    const late = { ...retrying, nextAttemptAt: '2026-01-02T03:04:05.000Z' };
    await createDelivery({ name: 'late', hook: 'late', task: 't', status: late });
    const { stdout } = await sandbox.telos(['deliveries', 'list', '--no-color']);
    expect(stdout).toMatch(/^new +u +chat +Pending +0 +<none> +now +\d+s$/m);
    expect(stdout).toMatch(/^late +t +late +Retrying +2 +HTTPStatus +now +\d+s$/m);
    const shown = await sandbox.telos(['deliveries', 'show', 'late', 'new']);
    expect(shown.stdout).toMatch(/^Next attempt: +as soon as its origin may be sent to \(due .* ago\)/m);
    expect(shown.stdout).toMatch(/^Next attempt: +now \(due /m);
    await sandbox.telos(['deliveries', 'redeliver', 'lost']);
    const again = await sandbox.telos(['deliveries', 'show', 'lost']);
    expect(again.stdout).toMatch(/^Next attempt: +now \(asked for again\)$/m);
  });

  test('skip lets a Task go that nobody is to be told of', async () => {
    const run = (name: string) =>
      sandbox.telos(['run', '--name', name, '--hook', 'https://hooks.example.com/x', '--', 'true']);
    await run('t');
    expect((await sandbox.telos(['deliveries', 'skip', 't'])).stdout).toBe('task/t skipped\n');
    const task = await sandbox.store.get('Task', { namespace: 'default', name: 't' });
    expect(task.metadata.annotations?.['telos.dev/skip-completion']).toBe('true');
    await run('told');
    await sandbox.store.patch(
      'Task',
      { namespace: 'default', name: 'told' },
      { metadata: { finalizers: null, annotations: { 'kelos.dev/webhook-report-phase': 'Failed' } } },
    );
    expect(await sandbox.telos(['deliveries', 'skip', 'task/told'])).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: 'task/told is not held: its end (Failed) is recorded already\n',
    });
    expect((await sandbox.telos(['deliveries', 'skip', 'nobody'])).exitCode).toBe(1);
    expect((await sandbox.telos(['deliveries', 'skip'])).exitCode).toBe(2);
  });

  test('replay takes all of a Task', async () => {
    const { stdout } = await sandbox.telos(['deliveries', 'replay', 't']);
    expect(stdout.split('\n').sort()).toEqual(['', 'delivery/ill redelivered', 'delivery/lost redelivered']);
    const none = await sandbox.telos(['deliveries', 'replay', 'task/nobody']);
    expect(none).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^error: [^\n]+\n$/) });
  });
});
