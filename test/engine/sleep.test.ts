import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildTelos } from '../support/telos-program.ts';
import { ledger, Workplace } from './workplace.ts';

/** A laptop that sleeps, seen from the engine: it stands still, and the world goes on. */

let program: string;
let work: Workplace;

beforeAll(async () => {
  program = await buildTelos();
});
beforeEach(async () => {
  work = await Workplace.open(program);
});
afterEach(() => work.close());

test('what completes while the engine sleeps is delivered when it wakes, each once, over connections that were closed meanwhile', async () => {
  const receiver = await work.receiver();
  const hooks = [{ name: 'all', url: `${receiver.origin}/` }];
  const engine = await work.up();
  await work.endTasks(['before'], hooks);
  await work.until(1);
  // Its connection stays open for the next one.
  expect(receiver.open).toBe(1);
  engine.signal('SIGSTOP');
  receiver.dropConnections();
  await receiver.drained();
  await work.endTasks(['a', 'b', 'c'], hooks);
  engine.signal('SIGCONT');
  const deliveries = await work.until(4);
  expect(deliveries.map(({ status }) => status)).toEqual(
    deliveries.map(() => expect.objectContaining({ phase: 'Delivered', attemptCount: 1 })),
  );
  const messages = ledger([receiver]);
  expect(new Set(messages.keys())).toEqual(new Set(deliveries.map(({ spec }) => spec.id)));
  expect([...messages.values()].every((bodies) => bodies.length === 1)).toBe(true);
});

test('an answer that came while the engine slept counts, although the timeout passed too', async () => {
  const held: ServerResponse[] = [];
  const receiver = await work.receiver({ answer: (_request, response) => held.push(response) });
  const engine = await work.up();
  await work.endTasks(['t'], [{ name: 'all', url: `${receiver.origin}/`, timeoutSeconds: 1 }]);
  await receiver.received(1);
  engine.signal('SIGSTOP');
  const asleep = performance.now();
  for (const response of held) response.end();
  await sleepOf(engine.pid);
  await passed(asleep + 1_100);
  engine.signal('SIGCONT');
  const [delivery] = await work.until(1);
  expect(delivery?.status).toMatchObject({ phase: 'Delivered', attemptCount: 1 });
  expect(receiver.requests).toHaveLength(1);
});

test('an attempt that the sleep cut off is made again with the same message', async () => {
  let answers = false;
  const receiver = await work.receiver({
    answer: (_request, response) => {
      if (answers) response.end();
    },
  });
  const engine = await work.up();
  await work.endTasks(['t'], [{ name: 'all', url: `${receiver.origin}/`, timeoutSeconds: 1 }]);
  await receiver.received(1);
  engine.signal('SIGSTOP');
  receiver.dropConnections();
  await receiver.drained();
  answers = true;
  engine.signal('SIGCONT');
  // Not after the whole schedule: somebody asks for it at once.
  const [retrying] = await work.until(1, ({ status }) => status?.phase === 'Retrying');
  expect(retrying?.status).toMatchObject({ attemptCount: 1 });
  const name = retrying?.metadata.name ?? '';
  expect(await work.sandbox.telos(['deliveries', 'redeliver', name])).toMatchObject({ exitCode: 0 });
  const [delivery] = await work.until(1);
  expect(delivery?.status).toMatchObject({ phase: 'Delivered', attemptCount: 2 });
  const messages = ledger([receiver]);
  expect([...messages.keys()]).toEqual([delivery?.spec.id]);
  expect(new Set(messages.get(delivery?.spec.id ?? '')).size).toBe(1);
});

/** Resolves when the process stands still. */
async function sleepOf(pid: number): Promise<void> {
  while (!/^State:\s+T/m.test(await readFile(`/proc/${pid}/status`, 'utf8')));
}

/** Resolves when the monotonic clock has passed a time: what is tested here is time that passes. */
function passed(at: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())));
}
