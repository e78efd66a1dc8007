import type { TaskCard } from './task-card.ts';

/** What is known of a Task that another one depends on. */
export type Dependency =
  | { readonly name: string; readonly state: 'missing' | 'unfinished' | 'succeeded' | 'failed' }
  /** It waits, directly or through others, for the very Task that depends on it. */
  | { readonly name: string; readonly state: 'cycle' };

/** What stands around a Task. */
export interface TaskWorld {
  /** Whether a run of it was begun. */
  readonly hasRun: boolean;
  readonly dependencies: readonly Dependency[];
  /** Who works on its branch, or waits for it since longer. */
  readonly branchBefore: { readonly name: string; readonly holds: boolean } | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** What is to be done about a Task. */
export type TaskStep =
  | { readonly do: 'nothing' }
  | { readonly do: 'wait'; readonly message: string }
  | { readonly do: 'fail'; readonly reason: string; readonly message: string }
  | { readonly do: 'start' }
  /** There is a run: wait for its outcome; `stop` asks it to end. */
  | { readonly do: 'follow'; readonly stop: boolean }
  /** All is done: let it go. */
  | { readonly do: 'release' }
  | { readonly do: 'remove' }
  | { readonly do: 'removeLater'; readonly afterMs: number };

/** Decides the next step of a Task. A finished Task is never run again, and a run is never begun twice. */
export function decideTask(card: TaskCard, world: TaskWorld): TaskStep {
  if (card.isTerminal) return decideFinished(card, world.now);
  if (world.hasRun) return { do: 'follow', stop: card.isDeleting };
  if (card.isDeleting) return card.isHeld ? { do: 'release' } : { do: 'nothing' };
  if (card.phase === 'Running') {
    const message = 'Task failed: its run is gone, with all that would tell how it ended';
    return { do: 'fail', reason: 'TaskFailed', message };
  }
  if (card.suspend) return { do: 'wait', message: suspendedMessage(card) };
  return decideDependencies(world.dependencies) ?? decideBranch(card, world) ?? { do: 'start' };
}

function decideFinished(card: TaskCard, now: number): TaskStep {
  if (card.isHeld) return { do: 'release' };
  if (card.expiresAt === undefined || card.isDeleting) return { do: 'nothing' };
  // Its Deliveries first; losing that finalizer is a change that brings it back here.
  if (card.isUnrecorded) return { do: 'nothing' };
  const afterMs = card.expiresAt - now;
  return afterMs <= 0 ? { do: 'remove' } : { do: 'removeLater', afterMs };
}

function suspendedMessage({ spawner }: TaskCard): string {
  return spawner === undefined
    ? 'Suspended: it starts once spec.suspend is false'
    : `Waiting for a free slot of TaskSpawner "${spawner}"`;
}

function decideDependencies(dependencies: readonly Dependency[]): TaskStep | undefined {
  for (const { name, state } of dependencies) {
    if (state === 'cycle') {
      const message = `Circular dependency detected: cycle involves "${name}"`;
      return { do: 'fail', reason: 'DependencyFailed', message };
    }
    if (state === 'failed') {
      return { do: 'fail', reason: 'DependencyFailed', message: `Dependency "${name}" failed` };
    }
  }
  const open = dependencies.find(({ state }) => state !== 'succeeded');
  if (open === undefined) return undefined;
  const message = `Waiting for dependency "${open.name}"`;
  return { do: 'wait', message: open.state === 'missing' ? `${message} to be created` : message };
}

function decideBranch(card: TaskCard, { branchBefore }: TaskWorld): TaskStep | undefined {
  if (branchBefore === undefined) return undefined;
  const { name, holds } = branchBefore;
  const how = holds ? `locked by ${name}` : `queued behind ${name}`;
  return { do: 'wait', message: `Waiting for branch "${card.branch}" (${how})` };
}
