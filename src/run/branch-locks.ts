import { type ActiveTask, branchMessagePrefix } from './watched-task.ts';

/**
 * One Task at a time on a branch, the oldest of those that wait first. Who runs and who waits is known from the
 * Tasks themselves, so that a restart changes nothing; only who was let go a moment ago is kept here, as the
 * view may not show it yet.
 */
export class BranchLocks {
  /** Uid of the Task that was let go, by branch key. */
  readonly #holders = new Map<string, { readonly uid: string; readonly name: string }>();

  /** Takes the branch for a Task. A string says why it must wait. `others` are the Tasks with the same key. */
  tryHold(task: ActiveTask, branch: string, others: Iterable<ActiveTask>): string | undefined {
    if (task.branchKey === undefined) return undefined;
    const holder = this.#holders.get(task.branchKey);
    if (holder?.uid === task.uid) return undefined;
    if (holder !== undefined) return waitText(branch, `locked by ${holder.name}`);
    let older: ActiveTask | undefined;
    for (const other of others) {
      if (other.uid === task.uid) continue;
      if (other.phase === 'Running' || other.phase === 'Pending')
        return waitText(branch, `locked by ${other.name}`);
      if (other.inBranchQueue && other.order < (older ?? task).order) older = other;
    }
    if (older !== undefined) return waitText(branch, `queued behind ${older.name}`);
    this.#holders.set(task.branchKey, { uid: task.uid, name: task.name });
    return undefined;
  }

  /** Gives the branch back, if this Task has it. */
  release(task: ActiveTask): void {
    if (task.branchKey !== undefined && this.#holders.get(task.branchKey)?.uid === task.uid)
      this.#holders.delete(task.branchKey);
  }
}

/** Who of those that wait for a branch is next. */
export function nextInQueue(tasks: Iterable<ActiveTask>): ActiveTask | undefined {
  let next: ActiveTask | undefined;
  for (const task of tasks)
    if (task.inBranchQueue && (next === undefined || task.order < next.order)) next = task;
  return next;
}

function waitText(branch: string, why: string): string {
  return `${branchMessagePrefix}"${branch}" (${why})`;
}
