import { type Task, terminalPhase } from '../api/task.ts';
import { parseTemplate, TemplateError } from '../base/go-template/template.ts';
import type { JsonObject } from '../base/json.ts';

/** Whether the Tasks that a Task depends on let it go. */
export type DependencyVerdict =
  /** All succeeded; `deps` is what its prompt may use as `.Deps`. */
  | { readonly kind: 'met'; readonly deps: JsonObject }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string };

const waitingFor = 'Waiting for dependency ';

/** Judges the dependencies of a Task; `find` gives a Task of its namespace by name. */
export function judgeDependencies(
  names: readonly string[],
  find: (name: string) => Task | undefined,
): DependencyVerdict {
  const deps: Record<string, JsonObject> = {};
  let waiting: string | undefined;
  for (const name of names) {
    const task = find(name);
    const phase = task === undefined ? undefined : terminalPhase(task);
    if (phase === 'Failed') return { kind: 'failed', message: `Dependency "${name}" failed` };
    if (task === undefined) waiting ??= `${waitingFor}"${name}" to be created`;
    else if (phase === undefined) waiting ??= `${waitingFor}"${name}"`;
    else deps[name] = outputsOf(name, task);
  }
  return waiting === undefined ? { kind: 'met', deps } : { kind: 'waiting', message: waiting };
}

/** Whether a Task was found to wait for a dependency before. */
export function isWaitingForDependency({ status }: Task): boolean {
  return status?.phase === 'Waiting' && status.message?.startsWith(waitingFor) === true;
}

/**
 * The dependency through which a Task depends on itself; undefined when it does not. `dependenciesOf` gives what
 * a Task that has not ended depends on.
 */
export function findCycle(
  name: string,
  dependenciesOf: (name: string) => readonly string[],
): string | undefined {
  const seen = new Set([name]);
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const dependency of dependenciesOf(next)) {
      if (dependency === name) return next;
      if (seen.has(dependency)) continue;
      seen.add(dependency);
      open.push(dependency);
    }
  }
  return undefined;
}

/** The prompt of a Task with dependencies: a template over `.Deps`, or the text as it stands if that fails. */
export function promptWith(prompt: string, deps: JsonObject): string {
  try {
    return parseTemplate(prompt).render({ Deps: deps });
  } catch (thrown) {
    if (thrown instanceof TemplateError) return prompt;
    throw thrown;
  }
}

function outputsOf(name: string, { status }: Task): JsonObject {
  return { Name: name, Outputs: status?.outputs ?? [], Results: status?.results ?? {} };
}
