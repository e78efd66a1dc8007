import { createHash } from 'node:crypto';

/** The longest name of a Job: it is a label of its Pods. */
const maxLength = 63;
const hashLength = 12;

/** The name of a Task's Job: that of the Task, or, when that is too long, its beginning and a hash of it. */
export function jobNameOf(taskName: string): string {
  if (taskName.length <= maxLength) return taskName;
  const hash = createHash('sha256').update(taskName).digest('hex').slice(0, hashLength);
  return `${taskName.slice(0, maxLength - hashLength - 1).replace(/[-.]+$/, '')}-${hash}`;
}
