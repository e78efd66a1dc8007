/**
 * How many Tasks each TaskSpawner has ever made. Each Task carries its own number, and the TaskSpawner's status
 * the last one written: the highest of both, and of what this process made, is the count. So a crash between
 * making a Task and writing the status loses nothing.
 */
export class TaskNumbers {
  readonly #highest = new Map<string, number>();

  /** A Task with this number exists. */
  see(uid: string, number: number): void {
    if (number > (this.#highest.get(uid) ?? 0)) this.#highest.set(uid, number);
  }

  /** The number of the last Task made. */
  last(spawner: {
    readonly metadata: { readonly uid: string };
    readonly status?: { readonly totalTasksCreated?: number | undefined } | undefined;
  }): number {
    return Math.max(this.#highest.get(spawner.metadata.uid) ?? 0, spawner.status?.totalTasksCreated ?? 0);
  }

  forget(uid: string): void {
    this.#highest.delete(uid);
  }
}
