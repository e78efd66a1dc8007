import type { Condition } from '../api/meta.ts';
import type { Task } from '../api/task.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';

/** The condition that a Task has while it is held because its completion cannot be recorded. Absent otherwise. */
export const heldCondition = 'CompletionRecorded';

/** As long as a condition's message may be, in bytes. */
const maxMessageBytes = 1024;

/** Whether the Task itself says that it is held. */
export function saysHeld(task: Task): boolean {
  return task.status?.conditions?.some(({ type }) => type === heldCondition) === true;
}

/** Its conditions and one more, that says why it is held. */
export function withHeld(task: Task, message: string, nowMs: number): Condition[] {
  const held: Condition = {
    type: heldCondition,
    status: 'False',
    reason: 'RecordingFailed',
    message: clampUtf8(message, maxMessageBytes),
    lastTransitionTime: rfc3339(nowMs),
  };
  return [...withoutHeld(task), held];
}

/** Its conditions without that one. */
export function withoutHeld(task: Task): Condition[] {
  return (task.status?.conditions ?? []).filter(({ type }) => type !== heldCondition);
}
