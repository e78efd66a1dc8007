import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import {
  onCompletionAnnotation,
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  runFinalizer,
  skipCompletionAnnotation,
} from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import { recover, redeliver, replay } from '../../src/report/redeliver.ts';
import { StoreError } from '../../src/store/errors.ts';
import { keyOf, type ResourceStore } from '../../src/store/store.ts';
import { untilGone } from '../support/until.ts';
import { taskDraft } from './fixtures.ts';
import { House, keyIn } from './house.ts';

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house.close());

const settled = ({ status }: Delivery): boolean => status?.settledAt !== undefined;
const marked = (phase: string) => (task: Task) =>
  task.metadata.annotations?.[reportedPhaseAnnotation] === phase;
const held = (task: Task): boolean => task.metadata.finalizers?.includes(onCompletionFinalizer) === true;
const failed = {
  phase: 'Failed',
  message: 'exit status 1',
  completionTime: '2026-01-02T03:04:00Z',
  startTime: '2026-01-02T03:03:00Z',
};

const create = (name: string, hooks: unknown, metadata = {}): Promise<Task> =>
  house.store.create<'Task'>(taskDraft(name, hooks, metadata));

/** Sees another Task through from end to delivery: what was going to happen by now has had its time. */
let passes = 0;
async function pass(): Promise<void> {
  const well = await house.receiver();
  passes += 1;
  const name = `pass-${passes}`;
  await create(name, [{ name, webhook: { url: well.url } }]);
  await house.setStatus(name, { ...failed, completionTime: new Date(house.clock.now()).toISOString() });
  await house.delivery(name, settled);
}

describe('a Task ends', () => {
  it('and each hook that wants its phase is told once, then the Task is marked and let go', async () => {
    const receiver = await house.receiver();
    house.start();
    const hooks = [
      { name: 'both', webhook: { url: `${receiver.url}/both` } },
      { name: 'failed', phases: ['Failed'], webhook: { url: `${receiver.url}/failed` } },
      { name: 'succeeded', phases: ['Succeeded'], webhook: { url: `${receiver.url}/succeeded` } },
    ];
    await create('fix-7', hooks);
    await house.task('fix-7', held);
    await house.setStatus('fix-7', failed);
    const both = await house.delivery('both', settled);
    await house.delivery('failed', settled);
    const task = await house.task('fix-7', marked('Failed'));

    expect(held(task)).toBe(false);
    expect(receiver.requests.map(({ path }) => path).sort()).toEqual(['/both', '/failed']);
    const told = receiver.requests.find(({ path }) => path === '/both');
    expect(JSON.parse(told?.body ?? '')).toMatchObject({
      task: 'fix-7',
      phase: 'Failed',
      message: 'exit status 1',
    });
    expect(told?.headers).toMatchObject({
      'webhook-id': both.spec.id,
      'webhook-timestamp': '1767323045',
      'telos-attempt': '1',
      'content-type': 'application/json',
      'user-agent': 'telos/0.0.0',
    });
    expect(both.status).toMatchObject({
      phase: 'Delivered',
      attemptCount: 1,
      attempts: [{ number: 1, reason: 'Delivered', httpStatus: 204 }],
    });
    expect(both.metadata.labels).toEqual({ 'telos.dev/task': 'fix-7', 'telos.dev/hook': 'both' });
  });

  it('and its Deliveries outlive it when it is deleted', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 500 });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }], {
      finalizers: [onCompletionFinalizer],
    });
    await house.store.delete('Task', keyIn('fix-7'));
    // Nobody ran it: without a terminal phase it is let go. This one ends first.
    await create('fix-8', [{ name: 'b', webhook: { url: receiver.url } }], {
      finalizers: [onCompletionFinalizer, runFinalizer],
    });
    await house.store.delete('Task', keyIn('fix-8'));
    await house.setStatus('fix-8', failed);
    await house.store.patch('Task', keyIn('fix-8'), { metadata: { finalizers: [onCompletionFinalizer] } });
    await untilGone(house.store, 'Task', keyIn('fix-7'));
    await untilGone(house.store, 'Task', keyIn('fix-8'));
    const retrying = await house.delivery('b', ({ status }) => status?.phase === 'Retrying');
    expect((await house.deliveries()).map(({ spec }) => spec.hook.name)).toEqual(['b']);
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(6_000);
    expect((await house.delivery('b', settled)).status?.phase).toBe('Delivered');
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set([retrying.spec.id]),
    );
  });

  it('and is let go untold when an operator says so', async () => {
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: 'https://127.0.0.1:1/' } }], {
      finalizers: [onCompletionFinalizer],
      annotations: { [skipCompletionAnnotation]: 'true' },
    });
    const task = await house.task('fix-7', (seen) => !held(seen));
    expect(marked('Failed')(task)).toBe(false);
    await house.setStatus('fix-7', failed);
    await create('other', [{ name: 'b', phases: [], webhook: { url: 'http://x' } }]);
    await house.setStatus('other', failed);
    await house.delivery('b', settled);
    expect((await house.deliveries()).map(({ spec }) => spec.hook.name)).toEqual(['b']);
  });
});

describe('a run', () => {
  it('is told once although Kelos rewrites its completionTime', async () => {
    const receiver = await house.receiver();
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-02T03:04:00Z' });
    await house.task('fix-7', marked('Failed'));
    await house.setStatus('fix-7', { completionTime: '2026-01-02T03:04:03Z' });
    await pass();
    expect(receiver.requests).toHaveLength(1);
  });

  it('without completionTime is told once, and once more when the Task ends otherwise', async () => {
    const receiver = await house.receiver();
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', { phase: 'Failed' });
    await house.task('fix-7', marked('Failed'));
    await house.setStatus('fix-7', { phase: 'Pending' });
    const again = await house.task('fix-7', (task) => !marked('Failed')(task));
    expect(held(again)).toBe(true);
    await house.setStatus('fix-7', { phase: 'Failed' });
    await house.task('fix-7', marked('Failed'));
    expect(await house.deliveries()).toHaveLength(1);
    await house.setStatus('fix-7', { phase: 'Pending' });
    await house.task('fix-7', held);
    await house.setStatus('fix-7', { phase: 'Succeeded', completionTime: '2026-01-02T03:04:04Z' });
    await house.task('fix-7', marked('Succeeded'));
    const phases = (await house.deliveries()).map(({ spec }) => spec.task.phase).sort();
    expect(phases).toEqual(['Failed', 'Succeeded']);
  });

  it('of a Task that runs again is told again', async () => {
    const receiver = await house.receiver();
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    for (const [startTime, completionTime] of [
      ['2026-01-02T03:00:00Z', '2026-01-02T03:01:00Z'],
      ['2026-01-02T03:02:00Z', '2026-01-02T03:03:00Z'],
    ]) {
      await house.setStatus('fix-7', { phase: 'Running', startTime });
      await house.task('fix-7', (task) => held(task) && !marked('Failed')(task));
      await house.setStatus('fix-7', { phase: 'Failed', completionTime });
      await house.task('fix-7', marked('Failed'));
    }
    await receiver.received(2);
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });

  it('of Kelos is told with the outputs that come after the phase, also over a restart', async () => {
    const receiver = await house.receiver();
    const first = house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }], {
      finalizers: ['kelos.dev/finalizer'],
    });
    await house.setStatus('fix-7', { ...failed, completionTime: '2026-01-02T03:04:05Z', jobName: 'fix-7' });
    await create('fix-8', [{ name: 'b', webhook: { url: receiver.url } }], {
      finalizers: ['kelos.dev/finalizer'],
    });
    await house.setStatus('fix-8', { ...failed, completionTime: '2026-01-02T03:04:05Z', jobName: 'fix-8' });
    await create('ours', [{ name: 'c', webhook: { url: receiver.url } }]);
    await house.setStatus('ours', failed);
    await house.task('ours', marked('Failed'));
    expect((await house.deliveries()).map(({ spec }) => spec.hook.name)).toEqual(['c']);
    await first.stop();
    house.clock.advance(20_000);
    const second = house.start();
    expect(second.room.caughtUp).toBe(false);
    await house.setStatus('fix-7', { outputs: ['branch: x'], results: { branch: 'x' } });
    expect((await house.delivery('a', settled)).spec.payload.outputs).toEqual(['branch: x']);
    house.clock.advance(14_000);
    await pass();
    expect(receiver.requests).toHaveLength(2);
    house.clock.advance(2_000);
    expect((await house.delivery('b', settled)).spec.payload.outputs).toBeUndefined();
    await house.task('fix-8', marked('Failed'));
  });
});

describe('old completions', () => {
  it('are recorded as Skipped, and told when a person wants it', async () => {
    const receiver = await house.receiver();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2025-12-31T00:00:00Z' });
    const { room } = house.start();
    expect((await house.delivery('a', settled)).status).toMatchObject({
      phase: 'Skipped',
      reason: 'Expired',
    });
    await house.task('fix-7', marked('Failed'));
    expect(receiver.requests).toEqual([]);
    expect(await replay(house.store, keyIn('fix-7'), house.clock)).toMatchObject([
      { hook: 'a', outcome: 'redelivered' },
    ]);
    expect(
      (await house.delivery('a', ({ status }) => status?.phase === 'Delivered')).status?.attemptCount,
    ).toBe(1);
    expect(room.caughtUp).toBe(true);
  });
});

describe('replaying', () => {
  it('keeps to the run that was recorded, though its completionTime was rewritten since', async () => {
    const receiver = await house.receiver();
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-01T00:00:00Z' });
    const { metadata } = await house.delivery('a', settled);
    await house.task('fix-7', marked('Failed'));
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-01T00:00:07Z' });
    expect(await replay(house.store, keyIn('fix-7'), house.clock)).toEqual([
      { key: keyIn(metadata.name), hook: 'a', outcome: 'redelivered' },
    ]);
  });

  it('says what is wrong with hooks of which none can be told', async () => {
    await create('fix-7', [{ name: 'a', webhook: { url: 'https://hooks.example.com/' } }]);
    await house.setStatus('fix-7', { phase: 'Failed', completionTime: '2026-01-01T00:00:00Z' });
    const annotations = { [onCompletionAnnotation]: 'not json [' };
    await house.store.patch('Task', keyIn('fix-7'), { metadata: { annotations } });
    await expect(replay(house.store, keyIn('fix-7'), house.clock)).rejects.toMatchObject({
      code: 'Replay',
      message: expect.stringContaining('annotation kelos.dev/on-completion'),
    });
  });
});

describe('hooks that break the rules', () => {
  it('are told to nobody but recorded, and take no valid hook with them', async () => {
    const receiver = await house.receiver();
    const { stop } = house.start();
    const hooks = [
      { name: 'good', webhook: { url: receiver.url } },
      { name: 'bad', webhook: { url: 'http://u:hunter2@example.com/' } },
    ];
    await create('fix-7', hooks);
    await create('fix-8', 'not JSON');
    await house.setStatus('fix-7', failed);
    await house.setStatus('fix-8', failed);
    expect((await house.delivery('good', settled)).status?.phase).toBe('Delivered');
    const bad = await house.delivery('bad', settled);
    expect(bad.status).toMatchObject({
      phase: 'Failed',
      reason: 'InvalidHook',
      message: expect.stringContaining('webhook.url'),
    });
    expect(JSON.stringify(bad)).not.toContain('hunter2');
    expect((await house.delivery('invalid', settled)).status).toMatchObject({
      phase: 'Failed',
      reason: 'InvalidHook',
    });
    await house.task('fix-8', marked('Failed'));
    await stop();
    const events = (await house.store.list('Event')).items.filter(
      ({ reason }) => reason === 'DeliveryFailed',
    );
    expect(events.map(({ involvedObject }) => involvedObject.name).sort()).toEqual(['fix-7', 'fix-8']);
  });
});

describe('hooks that nobody checked before they were written', () => {
  it('are said to be wrong as soon as their Task is seen, and again when it has ended', async () => {
    const receiver = await house.receiver();
    const { stop, metrics } = house.start();
    const webhook = { url: receiver.url };
    const hooks = [
      { name: 'good', filter: 'task.phase == "Failed"', webhook },
      { name: 'bad-filter', filter: 'task.cost > 5', webhook },
      { name: 'bad-template', webhook: { ...webhook, template: '{{.task' } },
    ];
    await create('fix-7', hooks);
    await create('fix-8', [hooks[0]]);
    for (const name of ['fix-7', 'fix-8']) {
      await house.task(name, held);
      await house.setStatus(name, failed);
    }
    await house.task('fix-8', marked('Failed'));
    expect((await house.delivery('bad-filter', settled)).status).toMatchObject({
      phase: 'Failed',
      reason: 'Filter',
      message: expect.stringContaining('cost'),
    });
    expect((await house.delivery('bad-template', settled)).status).toMatchObject({
      phase: 'Failed',
      reason: 'Template',
    });
    await house.delivery('good', settled);
    await stop();
    const said = (await house.store.list('Event')).items
      .filter(({ involvedObject }) => involvedObject.name === 'fix-7')
      .map(({ reason, type, message }) => `${type} ${reason}: ${message}`)
      .sort();
    expect(said).toEqual([
      expect.stringMatching(/^Warning DeliveryFailed: hook bad-filter was not told: Filter: /),
      expect.stringMatching(/^Warning DeliveryFailed: hook bad-template was not told: Template: /),
      expect.stringMatching(
        /^Warning InvalidHooks: .*hooks\[1\]\.filter: does not know task\.cost.*; .*hooks\[2\]\.webhook\.template: 1:/,
      ),
    ]);
    expect((await house.store.list('Event')).items).toHaveLength(3);
    const text = await metrics.metrics();
    expect(text).toContain('telos_deliveries_total{phase="Failed",reason="Filter"} 1');
    expect(text).toContain('telos_deliveries_total{phase="Failed",reason="Template"} 1');
  });
});

describe('a hook that aims where Telos may not connect', () => {
  it('fails at once and says why', async () => {
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: 'https://169.254.169.254/latest/meta-data/' } }]);
    await house.setStatus('fix-7', failed);
    const { status } = await house.delivery('a', settled);
    expect(status).toMatchObject({ phase: 'Failed', reason: 'Blocked', attemptCount: 1 });
    expect(status?.message).toContain('blocked');
    expect(status?.attempts?.[0]?.address).toBeUndefined();
  });
});

describe('a filter', () => {
  it('decides who is told, and is visible when it says no or fails', async () => {
    const receiver = await house.receiver();
    house.start();
    const hook = (name: string, filter: string): object => ({
      name,
      filter,
      webhook: { url: `${receiver.url}/${name}` },
    });
    await create('fix-7', [
      hook('dear', "double(task.results['cost-usd']) > 5.0"),
      hook('cheap', "double(task.results['cost-usd']) < 5.0"),
      hook('absent', "task.results['pr'] != ''"),
      hook('wrong', 'task..'),
      hook('no-answer', 'task.phase'),
    ]);
    await house.setStatus('fix-7', { ...failed, results: { 'cost-usd': '7.25' } });
    expect((await house.delivery('dear', settled)).status?.phase).toBe('Delivered');
    expect((await house.delivery('cheap', settled)).status).toMatchObject({
      phase: 'Skipped',
      reason: 'FilterFalse',
    });
    for (const name of ['absent', 'wrong', 'no-answer'])
      expect((await house.delivery(name, settled)).status).toMatchObject({
        phase: 'Failed',
        reason: 'Filter',
      });
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/dear']);
    await replay(house.store, keyIn('fix-7'), house.clock);
    await house.delivery('cheap', ({ status }) => status?.phase === 'Delivered');
  });
});

describe('a receiver in trouble', () => {
  it('that says Retry-After is tried again then, with the same id and body', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '60' }, body: 'busy\u0007' });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    const retrying = await house.delivery('a', ({ status }) => status?.phase === 'Retrying');
    const nextMs = Date.parse(retrying.status?.nextAttemptAt ?? '') - house.clock.now();
    expect(nextMs).toBeGreaterThanOrEqual(60_000);
    expect(nextMs).toBeLessThanOrEqual(66_000);
    expect(retrying.status?.attempts?.[0]).toMatchObject({
      reason: 'Unavailable',
      httpStatus: 503,
      answer: 'busy\\x07',
    });
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(59_000);
    await pass();
    expect(receiver.requests).toHaveLength(1);
    house.clock.advance(7_000);
    expect((await house.delivery('a', settled)).status).toMatchObject({
      phase: 'Delivered',
      attemptCount: 2,
    });
    const [first, second] = receiver.requests;
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(second?.headers['telos-attempt']).toBe('2');
    expect(second?.body).toBe(first?.body);
  });

  it('is given up after the attempts that the hook allows, and a person can have them again', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 404 });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url, retry: { maxAttempts: 2 } } }]);
    await house.setStatus('fix-7', failed);
    await house.delivery('a', ({ status }) => status?.attemptCount === 1);
    house.clock.advance(6_000);
    const given = await house.delivery('a', settled);
    expect(given.status).toMatchObject({ phase: 'Failed', reason: 'Exhausted', attemptCount: 2 });
    await redeliver(house.store, keyOf(given), house.clock);
    await house.delivery('a', ({ status }) => status?.phase === 'Retrying' && status.attemptCount === 3);
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(6_000);
    const delivered = await house.delivery('a', ({ status }) => status?.phase === 'Delivered');
    expect(delivered.status).toMatchObject({ attemptCount: 4, scheduleStart: 2 });
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  it('is told on a fresh schedule when a person sets the phase of a Delivery back to Pending', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 404 });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url, retry: { maxAttempts: 2 } } }]);
    await house.setStatus('fix-7', failed);
    await house.delivery('a', ({ status }) => status?.attemptCount === 1);
    house.clock.advance(6_000);
    const given = await house.delivery('a', settled);
    const byHand = { status: { phase: 'Pending' } };
    await house.store.patch('Delivery', keyOf(given), byHand, { subresource: 'status' });
    await house.delivery('a', ({ status }) => status?.phase === 'Retrying' && status.attemptCount === 3);
    house.clock.advance(6_000);
    const again = await house.delivery('a', ({ status }) => status?.attemptCount === 4);
    expect(again.status).toMatchObject({ phase: 'Failed', reason: 'Exhausted', scheduleStart: 2 });
    await pass();
    expect(receiver.requests).toHaveLength(4);
  });

  it('is recovered from when it is back: all that failed since is sent', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 400, body: 'no' });
    house.start();
    for (const name of ['x', 'y']) {
      await create(name, [{ name, webhook: { url: receiver.url } }]);
      await house.setStatus(name, failed);
      await house.delivery(name, settled);
    }
    receiver.answer = () => ({ status: 200 });
    expect(await recover(house.store, { sinceMs: 60_000, hook: 'y' }, house.clock)).toMatchObject([
      { hook: 'y' },
    ]);
    await house.delivery('y', ({ status }) => status?.phase === 'Delivered');
    expect(await recover(house.store, { sinceMs: 60_000 }, house.clock)).toMatchObject([{ hook: 'x' }]);
    await house.delivery('x', ({ status }) => status?.phase === 'Delivered');
    expect(await recover(house.store, { sinceMs: 60_000 }, house.clock)).toEqual([]);
  });

  it('is recovered from although one of what failed is removed meanwhile', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 400 });
    const { stop } = house.start();
    for (const name of ['x', 'y']) {
      await create(name, [{ name, webhook: { url: receiver.url } }]);
      await house.setStatus(name, failed);
      await house.delivery(name, settled);
    }
    await stop();
    const removing = new Proxy(house.store, {
      get(store, name: keyof ResourceStore) {
        const method = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>;
        if (name !== 'list') return method;
        return async (...args: unknown[]) => {
          const page = await method(...args);
          const x = (await house.deliveries()).find(({ spec }) => spec.hook.name === 'x');
          if (x !== undefined) await house.store.delete('Delivery', keyOf(x));
          return page;
        };
      },
    });
    expect(await recover(removing, { sinceMs: 60_000 }, house.clock)).toMatchObject([{ hook: 'y' }]);
  });

  it('that repeats a header as it came keeps no secret in what is kept of its answer', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 400, body: Buffer.from('you sent pässwörd12, ä', 'latin1') });
    await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'headers', namespace: 'default' },
      data: { 'x-password': Buffer.from('pässwörd12').toString('base64') },
    });
    house.start();
    await create('x', [{ name: 'x', webhook: { url: receiver.url, secretRef: { name: 'headers' } } }]);
    await house.setStatus('x', failed);
    const { status } = await house.delivery('x', settled);
    expect(status?.attempts?.at(-1)?.answer).toBe('you sent ***, ä');
  });

  it('that is gone for good is left alone for a day, also after a restart', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 410 });
    const first = house.start();
    const hooks = (name: string): object[] => [{ name, webhook: { url: `${receiver.url}/gone` } }];
    const end = async (name: string, completionTime: string): Promise<Delivery> => {
      await create(name, hooks(name));
      await house.setStatus(name, { phase: 'Failed', completionTime });
      return house.delivery(name, settled);
    };
    expect((await end('x', '2026-01-02T03:04:00Z')).status).toMatchObject({
      phase: 'Failed',
      reason: 'Gone',
    });
    await first.stop();
    house.start();
    expect((await end('y', '2026-01-02T03:04:00Z')).status).toMatchObject({
      phase: 'Skipped',
      reason: 'Gone',
    });
    expect(receiver.requests).toHaveLength(1);
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(25 * 3_600_000);
    expect((await end('z', '2026-01-03T03:04:00Z')).status?.phase).toBe('Delivered');
  });

  it('that is gone for good is told again as soon as what is sent again arrives', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 410 });
    house.start();
    const end = async (name: string): Promise<Delivery> => {
      await create(name, [{ name, webhook: { url: `${receiver.url}/gone` } }]);
      await house.setStatus(name, failed);
      return house.delivery(name, settled);
    };
    const first = await end('x');
    expect((await end('y')).status).toMatchObject({ phase: 'Skipped', reason: 'Gone' });
    receiver.answer = () => ({ status: 200 });
    await redeliver(house.store, keyOf(first), house.clock);
    await house.delivery('x', ({ status }) => status?.phase === 'Delivered');
    expect((await end('z')).status?.phase).toBe('Delivered');
  });

  it('that one namespace says is gone is told to the others', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 410 });
    house.start();
    const hooks = (name: string): object[] => [{ name, webhook: { url: `${receiver.url}/gone` } }];
    await create('x', hooks('x'));
    await house.setStatus('x', failed);
    await house.delivery('x', settled);
    receiver.answer = () => ({ status: 200 });
    const key = { namespace: 'other', name: 'y' };
    await house.store.create<'Task'>(taskDraft('y', hooks('y'), key));
    await house.store.patch('Task', key, { status: failed }, { subresource: 'status' });
    expect((await house.delivery('y', settled)).status?.phase).toBe('Delivered');
  });

  it('that is gone for good at a URL in a Secret is left alone until the Secret changes', async () => {
    const receiver = await house.receiver();
    receiver.answer = ({ path }) => ({ status: path === '/c4n4ry-old' ? 410 : 200 });
    const secret = await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'chat', namespace: 'default' },
      data: { url: Buffer.from(`${receiver.url}/c4n4ry-old`).toString('base64') },
    });
    const end = async (name: string): Promise<Delivery> => {
      await create(name, [{ name, webhook: { urlFrom: { secretKeyRef: { name: 'chat', key: 'url' } } } }]);
      await house.setStatus(name, failed);
      return house.delivery(name, settled);
    };
    const first = house.start();
    expect((await end('x')).status).toMatchObject({ phase: 'Failed', reason: 'Gone' });
    await first.stop();
    house.start();
    expect((await end('y')).status).toMatchObject({ phase: 'Skipped', reason: 'Gone' });
    await house.store.patch('Secret', keyOf(secret), {
      data: { url: Buffer.from(`${receiver.url}/new`).toString('base64') },
    });
    // Secrets are read anew after two seconds.
    house.clock.advance(3_000);
    expect((await end('z')).status?.phase).toBe('Delivered');
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/c4n4ry-old', '/new']);
    expect(JSON.stringify(await house.deliveries())).not.toContain('c4n4ry');
  });

  it('makes no other receiver wait, however many Deliveries it holds up', async () => {
    const hanging = await house.receiver();
    const well = await house.receiver();
    hanging.answer = () => 'hang';
    const { stop } = house.start();
    const names = Array.from({ length: 40 }, (_, index) => `t${index}`);
    await Promise.all(
      names.map(async (name) => {
        await create(name, [
          { name: 'hanging', webhook: { url: hanging.url } },
          { name: 'well', webhook: { url: well.url } },
        ]);
        await house.setStatus(name, failed);
      }),
    );
    await well.received(40);
    await hanging.received(16);
    expect(hanging.requests).toHaveLength(16);
    await hanging.close();
    await stop();
    const phases = (await house.deliveries()).map(({ spec, status }) => `${spec.hook.name} ${status?.phase}`);
    expect(phases.filter((phase) => phase === 'well Delivered')).toHaveLength(40);
    expect(phases.filter((phase) => phase === 'hanging Retrying')).toHaveLength(16);
  });

  it('that fails five times in a row is only probed, and caught up with when it answers', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 500 });
    const { stop } = house.start();
    const end = async (name: string): Promise<void> => {
      await create(name, [{ name, webhook: { url: receiver.url } }]);
      await house.setStatus(name, failed);
    };
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await end(name);
      await house.delivery(name, ({ status }) => status?.phase === 'Retrying');
    }
    await end('f');
    await house.task('f', marked('Failed'));
    house.clock.advance(29_000);
    await pass();
    expect(receiver.requests).toHaveLength(5);
    receiver.answer = () => ({ status: 200 });
    house.clock.advance(2_000);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
      expect((await house.delivery(name, settled)).status?.phase).toBe('Delivered');
    await stop();
    const [f] = (await house.deliveries()).filter(({ spec }) => spec.hook.name === 'f');
    expect(f?.status?.attemptCount).toBe(1);
  });
});

describe('Secrets', () => {
  it('reach the receiver and nothing else, even when it echoes them', async () => {
    const receiver = await house.receiver();
    receiver.answer = ({ headers, path }) => ({
      status: 400,
      body: `you sent ${headers['authorization']} to ${path}`,
    });
    const { stop, metrics } = house.start();
    await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: 'default' },
      stringData: { authorization: 'Bearer c4n4ry-token', url: `${receiver.url}/c4n4ry-path` },
    } as never);
    await create('fix-7', [
      { name: 'a', webhook: { url: `${receiver.url}/plain`, secretRef: { name: 'auth' } } },
      { name: 'b', webhook: { urlFrom: { secretKeyRef: { name: 'keys', key: 'url' } } } },
    ]);
    await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'auth', namespace: 'default' },
      stringData: { authorization: 'Bearer c4n4ry-token' },
    } as never);
    await house.setStatus('fix-7', failed);
    const answer = (await house.delivery('a', settled)).status?.attempts?.[0]?.answer;
    expect(answer).toBe('you sent Bearer *** to /plain');
    await house.delivery('b', settled);
    await stop();
    expect(receiver.requests.map(({ path }) => path).sort()).toEqual(['/c4n4ry-path', '/plain']);
    const kept = JSON.stringify([
      await house.deliveries(),
      (await house.store.list('Event')).items,
      await metrics.metrics(),
    ]);
    expect(kept).not.toContain('c4n4ry');
  });

  it('that are URLs do not hide where it could not connect, nor the remedy', async () => {
    const url = 'https://chat.payments.svc.cluster.local/services/T0c4n4ry/B0c4n4ry';
    await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'chat', namespace: 'default' },
      stringData: { url },
    } as never);
    const { stop } = house.start();
    await create('fix-7', [
      { name: 'a', webhook: { urlFrom: { secretKeyRef: { name: 'chat', key: 'url' } } } },
    ]);
    await house.setStatus('fix-7', failed);
    const refused = await house.delivery('a', settled);
    expect(refused.status).toMatchObject({
      reason: 'Blocked',
      message: expect.stringMatching(
        /chat\.payments\.svc\.cluster\.local is a local name .*--egress-allow chat\.payments\.svc\.cluster\.local/,
      ),
    });
    expect(JSON.stringify(refused.status)).not.toContain('c4n4ry');
    await stop();
  });

  it('that are missing are waited for, and asked for at once', async () => {
    const receiver = await house.receiver();
    const { stop } = house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url, secretRef: { name: 'late' } } }]);
    await house.setStatus('fix-7', failed);
    const waiting = await house.delivery('a', ({ status }) => status?.phase === 'Retrying');
    expect(waiting.status?.attempts?.[0]).toMatchObject({ reason: 'SecretNotFound' });
    expect(await house.task('fix-7', marked('Failed')).then(held)).toBe(false);
    await house.store.create<'Secret'>({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'late', namespace: 'default' },
      data: { 'x-key': Buffer.from('value').toString('base64') },
    });
    house.clock.advance(6_000);
    await house.delivery('a', settled);
    expect(receiver.requests[0]?.headers).toMatchObject({ 'x-key': 'value', 'telos-attempt': '2' });
    await stop();
    const said = (await house.store.list('Event')).items.filter(({ reason }) => reason === 'DeliveryWaits');
    expect(said.map(({ message }) => message)).toEqual([
      'hook a cannot be told yet: SecretNotFound: there is no Secret late in namespace default; create it',
    ]);
  });
});

describe('the engine', () => {
  it('that is stopped lets attempts under way end and writes what came of them', async () => {
    const receiver = await house.receiver();
    const { stop } = house.start();
    let release = (): void => {};
    const waits = new Promise<void>((resolve) => (release = resolve));
    receiver.answer = () => 'hang';
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    await receiver.received(1);
    const stopped = stop().then(release);
    await receiver.close();
    await Promise.all([waits, stopped]);
    const [delivery] = await house.deliveries();
    expect(delivery?.status).toMatchObject({ phase: 'Retrying', attemptCount: 1, reason: 'Reset' });
  });

  it('sends what fell due while the machine slept, once it wakes', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 429, headers: { 'retry-after': '7200' } });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    await house.delivery('a', ({ status }) => status?.phase === 'Retrying');
    receiver.answer = () => ({ status: 200 });
    house.clock.setWall('2026-01-02T09:00:00Z');
    house.clock.advance(60_000);
    expect((await house.delivery('a', settled)).status?.attemptCount).toBe(2);
  });

  it('waits no longer than it said when the clock is set back', async () => {
    const receiver = await house.receiver();
    receiver.answer = () => ({ status: 404 });
    house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    await house.delivery('a', ({ status }) => status?.phase === 'Retrying');
    receiver.answer = () => ({ status: 200 });
    house.clock.setWall('2026-01-01T00:00:00Z');
    house.clock.advance(5_500);
    expect((await house.delivery('a', settled)).status?.attemptCount).toBe(2);
  });

  it('whose store fails after an attempt writes it later, and sends nothing twice', async () => {
    const receiver = await house.receiver();
    let failures = 2;
    const failing = new Proxy(house.store, {
      get(store, name: keyof ResourceStore) {
        const method = store[name].bind(store) as (...args: unknown[]) => unknown;
        if (name !== 'patch') return method;
        return async (...args: unknown[]) => {
          if (args[0] !== 'Delivery' || failures === 0) return method(...args);
          failures -= 1;
          throw new StoreError('Unavailable', 'the disk is full');
        };
      },
    });
    const { metrics } = house.start({}, failing);
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    const delivered = house.delivery('a', settled);
    while ((await Promise.race([delivered, turn()])) === undefined) house.clock.advance(50);
    expect((await delivered).status).toMatchObject({ phase: 'Delivered', attemptCount: 1 });
    expect(receiver.requests).toHaveLength(1);
    expect(await metrics.metrics()).toContain('telos_delivery_status_errors_total 2');
  });

  it('counts what it does', async () => {
    const receiver = await house.receiver();
    const { metrics, stop, room } = house.start();
    await create('fix-7', [{ name: 'a', webhook: { url: receiver.url } }]);
    await house.setStatus('fix-7', failed);
    await house.delivery('a', settled);
    await stop();
    expect(room.caughtUp).toBe(true);
    const text = await metrics.metrics();
    expect(text).toContain('telos_deliveries_total{phase="Delivered",reason="Delivered"} 1');
    expect(text).toContain('telos_delivery_attempts_total{reason="Delivered"} 1');
    expect(text).toContain('telos_phase_to_post_seconds_count 1');
    expect(text).toContain('telos_deliveries_pending 0');
  });

  it('removes settled Deliveries when their time is over', async () => {
    const receiver = await house.receiver();
    receiver.answer = ({ path }) => ({ status: path === '/ok' ? 200 : 400 });
    house.start();
    await create('fix-7', [
      { name: 'ok', webhook: { url: `${receiver.url}/ok` } },
      { name: 'no', webhook: { url: `${receiver.url}/no` } },
    ]);
    await house.setStatus('fix-7', failed);
    const ok = await house.delivery('ok', settled);
    const no = await house.delivery('no', settled);
    house.clock.advance(8 * 24 * 3_600_000);
    await untilGone(house.store, 'Delivery', keyOf(ok));
    expect((await house.deliveries()).map(({ spec }) => spec.hook.name)).toEqual(['no']);
    house.clock.advance(23 * 24 * 3_600_000);
    await untilGone(house.store, 'Delivery', keyOf(no));
  });
});
