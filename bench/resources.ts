import type { Attempt, DeliveryStatus } from '../src/api/delivery.ts';
import type { Draft } from '../src/api/kinds.ts';
import { onCompletionAnnotation, onCompletionFinalizer, reportedPhaseAnnotation } from '../src/api/names.ts';
import type { Task } from '../src/api/task.ts';
import { rfc3339 } from '../src/base/text.ts';
import { renderJson } from '../src/report/formats/json.ts';
import { payloadOf } from '../src/report/payload.ts';
import type { MergePatch } from '../src/store/store.ts';

/** A Task of about 3 KB with one hook, as spawn would make it. */
export function taskDraft(name: string, url = 'https://127.0.0.1/', webhook: object = {}): Draft<'Task'> {
  const hooks = [{ name: 'bench', webhook: { url, ...webhook } }];
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name,
      namespace: 'default',
      annotations: { [onCompletionAnnotation]: JSON.stringify(hooks) },
      finalizers: [onCompletionFinalizer],
    },
    spec: { type: 'command', command: ['true'], prompt: 'p'.repeat(2000) },
  };
}

/** The same with the mark of a recorder that is done with it. */
export function recorded({ metadata, ...draft }: Draft<'Task'>): Draft<'Task'> {
  const { finalizers: _held, annotations, ...others } = metadata;
  return {
    ...draft,
    metadata: { ...others, annotations: { ...annotations, [reportedPhaseAnnotation]: 'Succeeded' } },
  };
}

/** The status that run writes when a Task ends well. */
export function endedStatus(results: Readonly<Record<string, string>> = {}): { status: object } {
  const now = rfc3339(Date.now());
  return {
    status: {
      phase: 'Succeeded',
      startTime: now,
      completionTime: now,
      message: 'Task completed successfully',
      outputs: ['branch: main', 'commit: 0123456789abcdef'],
      results: { branch: 'main', commit: '0123456789abcdef', response: 'r'.repeat(400), ...results },
    },
  };
}

/** The status of a Delivery whose first attempt found nobody, a minute ago; it is due. */
export function retryingStatus(): DeliveryStatus {
  const at = new Date(Date.now() - 60_000).toISOString();
  const failure = {
    reason: 'Connect',
    message: '127.0.0.1:443: connection refused: nothing listens there',
  } as const;
  return {
    phase: 'Retrying',
    attemptCount: 1,
    attempts: [{ number: 1, at, ...failure, durationMs: 1, address: '127.0.0.1:443' }],
    nextAttemptAt: at,
    ...failure,
  };
}

/** The status of such a Delivery after a second attempt that went well. */
export function deliveredStatus(): MergePatch {
  return deliveredAfter(retryingStatus().attempts ?? []);
}

/** The status of a Delivery whose first attempt went well. */
export function deliveredAtOnce(): MergePatch {
  return deliveredAfter([]);
}

function deliveredAfter(attempts: readonly Attempt[]): MergePatch {
  const number = attempts.length + 1;
  const success: Attempt = {
    number,
    at: new Date().toISOString(),
    reason: 'Delivered',
    message: '204',
    durationMs: 2,
    firstByteMs: 1,
    httpStatus: 204,
    address: '127.0.0.1:443',
  };
  return {
    phase: 'Delivered',
    attemptCount: number,
    reason: 'Delivered',
    message: '204',
    nextAttemptAt: null,
    settledAt: rfc3339(Date.now()),
    attempts: [...attempts, success],
  };
}

/** The body that a hook is told about such a Task. */
export function payloadBody(name: string): string {
  const { metadata, ...task } = taskDraft(name);
  return renderJson(payloadOf({ ...task, ...endedStatus(), metadata } as unknown as Task, 'Succeeded'));
}

/** A time that other processes on this machine can measure from, `aheadMs` from now: see ReceiverReport. */
export function instant(aheadMs = 0): string {
  return String(process.hrtime.bigint() + BigInt(Math.round(aheadMs * 1e6)));
}
