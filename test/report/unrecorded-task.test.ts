import { expect, test } from 'vitest';
import { onCompletionAnnotation } from '../../src/api/names.ts';
import { decideRecording } from '../../src/report/decide-recording.ts';
import { draftDeliveries } from '../../src/report/delivery-draft.ts';
import { parseHooks } from '../../src/report/hooks-annotation.ts';
import { unrecordedTask } from '../../src/report/unrecorded-task.ts';
import { taskOf } from './fixtures.ts';

test('what is kept of a Task that is not recorded says all that recording tells, and not what it runs', () => {
  const hooks = JSON.stringify([{ name: 'a', webhook: { url: 'https://hooks.example.com/' } }]);
  const prompt = 'p'.repeat(200_000);
  const task = taskOf({
    metadata: {
      finalizers: ['telos.dev/on-completion', 'example.com/other'],
      labels: { 'kelos.dev/taskspawner': 'nightly' },
      annotations: {
        [onCompletionAnnotation]: hooks,
        'kubectl.kubernetes.io/last-applied-configuration': prompt,
      },
    },
    spec: {
      prompt,
      worker: { type: 'codex', model: 'm', podOverrides: { env: [{ name: 'A', value: prompt }] } },
    },
    status: { phase: 'Succeeded', completionTime: '2026-01-02T03:04:05Z', results: { pr: '7' } },
  });
  const kept = unrecordedTask(task);
  expect(JSON.stringify(kept).length).toBeLessThan(2_000);
  const step = decideRecording(task);
  expect(decideRecording(kept)).toEqual(step);
  if (step.do !== 'record') throw new Error('it is to be recorded');
  const told = (of: typeof task): unknown =>
    draftDeliveries(of, step.run, parseHooks(hooks), { expired: false });
  expect(told(kept)).toEqual(told(task));
});
