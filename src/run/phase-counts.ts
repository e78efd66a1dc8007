import type { WatchedTask } from './watched-task.ts';

/** The phases before the end. */
export const activePhases = ['Pending', 'Waiting', 'Running'] as const;

/** How many Tasks that have not ended are in each phase, kept up by the changes of a view. */
export class PhaseCounts {
  readonly #counts = new Map<string, number>();

  change(before: WatchedTask | undefined, now: WatchedTask | undefined): void {
    this.#add(before, -1);
    this.#add(now, 1);
  }

  of(phase: (typeof activePhases)[number]): number {
    return this.#counts.get(phase) ?? 0;
  }

  #add(task: WatchedTask | undefined, by: 1 | -1): void {
    if (task?.kind !== 'active') return;
    // One that nobody has looked at yet has none.
    const phase = task.phase ?? 'Pending';
    this.#counts.set(phase, (this.#counts.get(phase) ?? 0) + by);
  }
}
