import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { EventRecorder, subjectOf } from '../../src/store/event-recorder.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { taskDraft } from './contract.ts';

let store: ResourceStore;
let close: () => Promise<void>;

beforeEach(async () => {
  ({ store, close } = await temporaryStore());
});
afterEach(() => close());

test('an Event names what it is about, says what happened, and is written by the time flush resolves', async () => {
  const task = await store.create<'Task'>(taskDraft({ name: 'a' }));
  const recorder = new EventRecorder(store, new ManualClock(), silentLogger);
  recorder.record(subjectOf(task), 'Normal', 'Started', 'it began');
  recorder.record(subjectOf(task), 'Warning', 'Failed', 'é'.repeat(2000));
  await recorder.flush();
  const { items } = await store.list('Event');
  expect(items).toHaveLength(2);
  expect(items[0]).toMatchObject({
    involvedObject: { kind: 'Task', name: 'a', namespace: 'default', uid: task.metadata.uid },
    type: 'Normal',
    reason: 'Started',
    message: 'it began',
    firstTimestamp: '2026-01-02T03:04:05Z',
  });
  expect(Buffer.byteLength(items[1]?.message ?? '')).toBe(1024);
});

test('subjects with the longest of names have Events too', async () => {
  const name = `${'a'.repeat(230)}.${'b-'.repeat(10)}bb`;
  const task = await store.create<'Task'>(taskDraft({ name }));
  const recorder = new EventRecorder(store, new ManualClock(), silentLogger);
  recorder.record(subjectOf(task), 'Normal', 'Started', 'it began');
  await recorder.flush();
  expect((await store.list('Event')).items.map((event) => event.involvedObject.name)).toEqual([name]);
});

test('an Event that cannot be written is only logged', async () => {
  const lines: string[] = [];
  const log: Logger = { ...silentLogger, debug: (message) => lines.push(message) };
  const recorder = new EventRecorder(store, new ManualClock(), log);
  const subject = { kind: 'Task', namespace: 'Not A Namespace', name: 'a', uid: 'u' } as const;
  recorder.record(subject, 'Normal', 'Started', 'it began');
  await recorder.flush();
  expect(lines).toEqual(['an Event was not written']);
});
