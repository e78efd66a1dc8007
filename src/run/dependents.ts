import { keyText } from '../store/store.ts';

/** Who depends on whom, the other way round: the keys of Tasks that wait, by the key of what they wait for. */
export class Dependents {
  readonly #byDependency = new Map<string, Set<string>>();

  add(namespace: string, task: string, dependsOn: readonly string[]): void {
    for (const name of dependsOn) {
      const dependency = keyText({ namespace, name });
      const dependents = this.#byDependency.get(dependency);
      if (dependents === undefined) this.#byDependency.set(dependency, new Set([task]));
      else dependents.add(task);
    }
  }

  remove(namespace: string, task: string, dependsOn: readonly string[]): void {
    for (const name of dependsOn) {
      const dependency = keyText({ namespace, name });
      const dependents = this.#byDependency.get(dependency);
      dependents?.delete(task);
      if (dependents?.size === 0) this.#byDependency.delete(dependency);
    }
  }

  of(dependency: string): Iterable<string> {
    return this.#byDependency.get(dependency) ?? [];
  }
}
