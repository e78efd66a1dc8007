import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TaskSpawnerSpec } from '../../src/api/task-spawner.ts';
import { taskName } from '../../src/spawn/task-name.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until } from '../support/until.ts';
import { numberOf, type RunningSpawn, spawnerDraft, startSpawn, tasksOf, webhookSpec } from './fixtures.ts';

const spawnerKey = { namespace: 'default', name: 's' };

let clock: ManualClock;
let temporary: Awaited<ReturnType<typeof temporaryStore>>;
let store: ResourceStore;
let spawn: RunningSpawn;

beforeEach(async () => {
  clock = new ManualClock();
  temporary = await temporaryStore({ clock });
  store = temporary.store;
});

afterEach(async () => {
  await spawn.stop();
  await temporary.close();
});

/** Applies TaskSpawner `s`, then starts. */
async function start(spec: TaskSpawnerSpec = webhookSpec): Promise<void> {
  await store.create(spawnerDraft('s', spec));
  spawn = startSpawn(store, clock);
}

async function restart(): Promise<void> {
  await spawn.stop();
  spawn = startSpawn(store, clock);
}

describe('an event', () => {
  test('is a stored Task by the time it is acknowledged', async () => {
    await start();
    const answer = await spawn.send('ci', { id: 'a1', title: 'hello' });
    const name = taskName('s', { kind: 'delivery', event: 'ci', deliveryId: 'generic-ci-a1' });
    expect(answer).toEqual({
      status: 202,
      body: { results: [{ taskspawner: 'default/s', outcome: 'created', task: name }] },
    });
    const task = await store.get('Task', { namespace: 'default', name });
    expect(task.spec).toMatchObject({ command: ['echo', 'hello'], prompt: 'hello' });
  });

  test('sent again is the same Task, acknowledged again, and takes no number', async () => {
    await start();
    const first = await spawn.send('ci', { id: 'a1', title: 'hello' });
    const again = await spawn.send('ci', { id: 'a1', title: 'changed' });
    expect(again.status).toBe(202);
    expect(again.body.results).toEqual([{ ...first.body.results?.[0], outcome: 'duplicate' }]);
    await spawn.send('ci', { id: 'a2' });
    expect((await tasksOf(store)).map(numberOf)).toEqual([1, 2]);
  });

  test('sent again after a restart is still a duplicate', async () => {
    await start();
    await spawn.send('ci', { id: 'a1' });
    await restart();
    expect((await spawn.send('ci', { id: 'a1' })).body.results?.[0]?.outcome).toBe('duplicate');
  });

  test('goes to every TaskSpawner of its source, in all namespaces, and to no other', async () => {
    await store.create(spawnerDraft('s', webhookSpec, 'team-b'));
    const other = { ...webhookSpec, when: { webhook: { source: 'other', fieldMapping: { id: '$.id' } } } };
    await store.create(spawnerDraft('o', other));
    await start();
    const answer = await spawn.send('ci', { id: 'a1' });
    expect(answer.body.results?.map(({ taskspawner, outcome }) => [taskspawner, outcome])).toEqual([
      ['default/s', 'created'],
      ['team-b/s', 'created'],
    ]);
    expect(await tasksOf(store, 'team-b')).toHaveLength(1);
  });

  test('of an unknown source is 404', async () => {
    await start();
    expect(await spawn.send('nobody', {})).toEqual({
      status: 404,
      body: { error: 'no TaskSpawner has spec.when.webhook.source "nobody"' },
    });
  });

  test('that is not JSON is 400 and says where', async () => {
    await start();
    expect(await spawn.send('ci', Buffer.from('{"id": oops}'))).toEqual({
      status: 400,
      body: { error: 'the body is not JSON: line 1, column 8: not understood here' },
    });
  });

  test('without the mapped id is named by its bytes', async () => {
    await start({ ...webhookSpec, taskTemplate: { type: 'command', command: ['true'] } });
    for (const payload of [['not', 'an', 'object'], 'text', 7, 'text'])
      expect((await spawn.send('ci', payload)).status).toBe(202);
    expect(await tasksOf(store)).toHaveLength(3);
  });

  test('that is filtered makes no Task, and the answer says why', async () => {
    const webhook = { source: 'ci', fieldMapping: { id: '$.id' }, filters: [{ field: '$.x', value: '1' }] };
    await start({ ...webhookSpec, when: { webhook } });
    expect(await spawn.send('ci', { id: 'a' })).toEqual({
      status: 200,
      body: {
        results: [
          { taskspawner: 'default/s', outcome: 'filtered', reason: 'filters[0]: $.x does not match' },
        ],
      },
    });
    expect(await tasksOf(store)).toEqual([]);
  });

  test('for a suspended TaskSpawner makes no Task', async () => {
    await start({ ...webhookSpec, suspend: true });
    const answer = await spawn.send('ci', { id: 'a' });
    expect(answer.status).toBe(200);
    expect(answer.body.results?.[0]?.outcome).toBe('suspended');
    expect(await tasksOf(store)).toEqual([]);
  });

  test('whose Task name belongs to somebody else makes no Task and says so', async () => {
    const name = taskName('s', { kind: 'delivery', event: 'ci', deliveryId: 'generic-ci-a' });
    await store.create({
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { name, namespace: 'default' },
      spec: { type: 'command', command: ['true'] },
    });
    await start();
    const answer = await spawn.send('ci', { id: 'a' });
    expect(answer.status).toBe(422);
    expect(answer.body.results?.[0]).toMatchObject({
      outcome: 'failed',
      reason: `Task ${name} exists and is not of this TaskSpawner; delete it or choose another name`,
    });
  });

  test('that cannot be rendered is 422 with line and column, a Warning and a status that says so', async () => {
    await start({ ...webhookSpec, taskTemplate: { type: 'command', command: ['echo', 'a\n{{.nope}}'] } });
    const answer = await spawn.send('ci', { id: 'a' });
    expect(answer.status).toBe(422);
    const reason = answer.body.results?.[0]?.reason ?? '';
    expect(reason).toMatch(/^spec\.taskTemplate\.command\[1\]: .*2:\d+.*nope/);
    const { status } = await until(store, 'TaskSpawner', spawnerKey, (one) =>
      (one.status?.message ?? '').includes(reason),
    );
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'DiscoveryError', status: 'True', reason: 'TaskCreationFailed' }),
    );
    await spawn.stop();
    const { items } = await store.list('Event');
    expect(items).toMatchObject([{ type: 'Warning', reason: 'TaskCreationFailed', message: reason }]);
  });

  test('whose Task would be invalid is 422 and names the field', async () => {
    await start();
    const answer = await spawn.send('ci', { id: 'a', title: 'x'.repeat(140_000) });
    expect(answer.status).toBe(422);
    expect(answer.body.results?.[0]?.reason).toMatch(/^the Task would be invalid: spec\.command/);
  });

  test('that goes wrong again and again is one stored Warning, not one for each', async () => {
    await start({ ...webhookSpec, taskTemplate: { type: 'command', command: ['{{.nope}}'] } });
    for (let count = 0; count < 20; count += 1) await spawn.send('ci', { id: count });
    await spawn.stop();
    expect((await store.list('Event')).items).toHaveLength(1);
  });

  test('is counted by source and outcome, unknown sources under one name', async () => {
    await start();
    await spawn.send('ci', { id: 'a' });
    await spawn.send('ci', { id: 'a' });
    await spawn.send('evil-1', {});
    await spawn.send('evil-2', {});
    const text = await spawn.metrics.metrics();
    expect(text).toContain('telos_events_total{source="ci",outcome="created"} 1');
    expect(text).toContain('telos_events_total{source="ci",outcome="duplicate"} 1');
    expect(text).toContain('telos_events_total{source="unknown",outcome="unknown"} 2');
    expect(text).toContain('telos_tasks_created_total{namespace="default",taskspawner="s"} 1');
    expect(text).toContain('telos_spawn_queue_depth');
    expect(text).not.toContain('evil');
  });
});

/** The same store, with something around each create. */
function withCreate(
  inner: ResourceStore,
  around: (create: () => Promise<unknown>) => Promise<unknown>,
): ResourceStore {
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const call = (...args: unknown[]): Promise<unknown> => Reflect.apply(member, target, args);
      return name === 'create' ? (...args: unknown[]) => around(() => call(...args)) : call;
    },
  });
}

describe('a store that fails', () => {
  test('makes the answer 503, and sending again makes exactly one Task', async () => {
    const disk = { isFull: true };
    const flaky = withCreate(store, (create) =>
      disk.isFull ? Promise.reject(new StoreError('Unavailable', 'the disk is full')) : create(),
    );
    await store.create(spawnerDraft('s'));
    spawn = startSpawn(flaky, clock);
    const refused = await spawn.send('ci', { id: 'a' });
    expect(refused).toMatchObject({ status: 503, body: { results: [{ outcome: 'failed' }] } });
    disk.isFull = false;
    expect((await spawn.send('ci', { id: 'a' })).status).toBe(202);
    expect((await tasksOf(store)).map(numberOf)).toEqual([1]);
  });
});

describe('maxTotalTasks', () => {
  const limited = (maxTotalTasks: number): TaskSpawnerSpec => ({ ...webhookSpec, maxTotalTasks });

  test('is exact when many events come at once', async () => {
    await start(limited(10));
    const answers = await Promise.all(Array.from({ length: 25 }, (_, id) => spawn.send('ci', { id })));
    const outcomes = answers.map(({ body }) => body.results?.[0]?.outcome);
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(10);
    expect(outcomes.filter((outcome) => outcome === 'exhausted')).toHaveLength(15);
    expect((await tasksOf(store)).map(numberOf)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('reached, an event is answered with 200 and exhausted, a known one as duplicate, and status says so', async () => {
    await start(limited(1));
    await spawn.send('ci', { id: 'a' });
    const answer = await spawn.send('ci', { id: 'b' });
    expect(answer.status).toBe(200);
    expect(answer.body.results?.[0]).toMatchObject({ outcome: 'exhausted' });
    expect((await spawn.send('ci', { id: 'a' })).body.results?.[0]?.outcome).toBe('duplicate');
    const { status } = await until(
      store,
      'TaskSpawner',
      spawnerKey,
      (one) => one.status?.totalTasksCreated === 1,
    );
    expect(status?.message).toBe('All 1 Tasks of spec.maxTotalTasks have been made');
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'MaxTotalTasksReached', status: 'True', reason: 'LimitReached' }),
    );
  });

  test('counts Tasks that are gone, over a restart', async () => {
    await start(limited(1));
    await spawn.send('ci', { id: 'a' });
    await until(store, 'TaskSpawner', spawnerKey, (one) => one.status?.totalTasksCreated === 1);
    for (const task of await tasksOf(store)) await store.delete('Task', task.metadata);
    await restart();
    expect((await spawn.send('ci', { id: 'b' })).body.results?.[0]?.outcome).toBe('exhausted');
  });

  test('counts Tasks made just before a crash that no status tells of, ended ones too', async () => {
    await start(limited(3));
    await spawn.send('ci', { id: 'a' });
    await spawn.send('ci', { id: 'b' });
    await spawn.stop();
    for (const task of await tasksOf(store))
      await store.patch('Task', task.metadata, { status: { phase: 'Failed' } }, { subresource: 'status' });
    await store.patch(
      'TaskSpawner',
      spawnerKey,
      { status: { totalTasksCreated: 0 } },
      { subresource: 'status' },
    );
    spawn = startSpawn(store, clock);
    expect((await spawn.send('ci', { id: 'c' })).body.results?.[0]?.outcome).toBe('created');
    expect((await tasksOf(store)).map(numberOf)).toEqual([1, 2, 3]);
    expect((await spawn.send('ci', { id: 'd' })).body.results?.[0]?.outcome).toBe('exhausted');
  });

  test('raised lets more be made', async () => {
    await start(limited(1));
    await spawn.send('ci', { id: 'a' });
    await store.patch('TaskSpawner', spawnerKey, { spec: { maxTotalTasks: 2 } });
    await until(store, 'TaskSpawner', spawnerKey, (one) => one.status?.observedGeneration === 2);
    expect((await spawn.send('ci', { id: 'b' })).body.results?.[0]?.outcome).toBe('created');
  });
});

describe('a TaskSpawner with a secret', () => {
  const secretRef = { name: 'hook', key: 'token' };
  const signed: TaskSpawnerSpec = {
    ...webhookSpec,
    when: { webhook: { source: 'ci', fieldMapping: { id: '$.id', title: '$.title' }, secretRef } },
  };
  const body = Buffer.from('{"id":"a"}');
  const sign = (secret: string): Record<string, string> => ({
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  });

  async function createSecret(): Promise<void> {
    await store.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'hook', namespace: 'default' },
      stringData: { token: 's3cret' },
    });
  }

  test('takes only what is signed with it', async () => {
    await createSecret();
    await start(signed);
    expect(await spawn.send('ci', body)).toMatchObject({ status: 401, body: { error: /^not signed/ } });
    expect(await spawn.send('ci', body, sign('guess'))).toEqual({
      status: 401,
      body: { error: 'the signature is wrong' },
    });
    expect(await tasksOf(store)).toEqual([]);
    expect((await spawn.send('ci', body, sign('s3cret'))).status).toBe(202);
  });

  test('refuses before it looks at the body', async () => {
    await createSecret();
    await start(signed);
    expect((await spawn.send('ci', Buffer.from('{'))).status).toBe(401);
  });

  test('refuses everything while the Secret is missing, and a Warning says which', async () => {
    await start(signed);
    expect(await spawn.send('ci', body, sign('s3cret'))).toEqual({
      status: 401,
      body: { error: 'the signature cannot be checked' },
    });
    await spawn.stop();
    expect((await store.list('Event')).items).toMatchObject([
      { type: 'Warning', reason: 'SecretNotFound', message: /Secret hook has no key token/ },
    ]);
  });

  test('does not keep others of the same source from taking an unsigned event, and is not named to its sender', async () => {
    await createSecret();
    await store.create(spawnerDraft('open'));
    await start(signed);
    const answer = await spawn.send('ci', body);
    expect(answer.status).toBe(202);
    expect(answer.body.results?.map(({ taskspawner, outcome }) => [taskspawner, outcome])).toEqual([
      ['default/open', 'created'],
    ]);
  });
});
