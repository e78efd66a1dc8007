import type { ServerResponse } from 'node:http';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { isSettled } from '../../src/api/delivery.ts';
import { buildTelos } from '../support/telos-program.ts';
import { ledger, Workplace } from './workplace.ts';

let program: string;
let work: Workplace;

beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  work = await Workplace.open(program);
});
afterEach(() => work.close());

test('SIGTERM under load: what is under way ends and is written, nothing new begins, the next start sends the rest once', async () => {
  const held: ServerResponse[] = [];
  let holding = true;
  const receiver = await work.receiver({
    answer: (_request, response) => {
      if (holding) held.push(response);
      else response.end();
    },
  });
  const names = Array.from({ length: 60 }, (_, index) => `t${index}`);
  const hooks = [{ name: 'all', url: `${receiver.origin}/` }];
  const first = await work.up();
  await work.endTasks(names, hooks);
  await work.until(60, () => true);
  // As many as one origin is given at a time; the others wait for their turn.
  await receiver.received(16);
  first.signal('SIGTERM');
  await first.logged('stopping');
  await work.endTasks(['late'], hooks);
  holding = false;
  for (const response of held) response.end();
  expect(await first.ended()).toBe(0);

  const answered = new Set(receiver.requests.map(({ headers }) => headers['webhook-id']));
  const written = (await work.deliveries()).filter(isSettled);
  expect(receiver.requests).toHaveLength(16);
  expect(new Set(written.map(({ spec }) => spec.id))).toEqual(answered);
  expect(written.every(({ status }) => status?.phase === 'Delivered')).toBe(true);

  await work.up();
  const all = await work.until(61);
  expect(all.every(({ status }) => status?.phase === 'Delivered' && status.attemptCount === 1)).toBe(true);
  expect(ledger([receiver]).size).toBe(61);
  expect(receiver.requests).toHaveLength(61);
});

test('SIGTERM while a receiver hangs: the attempt is given its own time and not more, and what came of it is written', async () => {
  const receiver = await work.receiver({ answer: () => {} });
  const first = await work.up();
  await work.endTasks(['t'], [{ name: 'all', url: `${receiver.origin}/`, timeoutSeconds: 1 }]);
  await receiver.received(1);
  expect(await first.stop()).toBe(0);
  const [delivery] = await work.deliveries();
  expect(delivery?.status).toMatchObject({ phase: 'Retrying', reason: 'Timeout', attemptCount: 1 });
});
