import { type Task, terminalPhase } from '../api/task.ts';
import { parseTemplate, TemplateError } from '../base/go-template/template.ts';
import { isStoreError } from '../store/errors.ts';
import type { ResourceStore } from '../store/store.ts';
import type { Dependency } from './decide-task.ts';
import type { TaskCard } from './task-card.ts';

/** Tasks looked at in search of a cycle. */
const maxVisited = 1000;

/** What becomes of each Task that this one depends on. */
export async function readDependencies(store: ResourceStore, card: TaskCard): Promise<Dependency[]> {
  const { namespace, name } = card.key;
  const dependencies: Dependency[] = [];
  for (const other of card.dependsOn) {
    const task = other === name ? undefined : await readTask(store, namespace, other);
    const phase = task === undefined ? undefined : terminalPhase(task);
    if (other === name) dependencies.push({ name: other, state: 'cycle' });
    else if (task === undefined) dependencies.push({ name: other, state: 'missing' });
    else if (phase !== undefined)
      dependencies.push({ name: other, state: phase === 'Failed' ? 'failed' : 'succeeded' });
    else {
      const cyclic = await reaches(store, task, name);
      dependencies.push({ name: other, state: cyclic ? 'cycle' : 'unfinished' });
    }
  }
  return dependencies;
}

/**
 * The prompt of a Task with dependencies, which is a template over `.Deps` (name → Name, Outputs, Results). One
 * that cannot be rendered is used as it stands.
 */
export async function renderPrompt(store: ResourceStore, task: Task): Promise<string> {
  const { prompt = '', dependsOn = [] } = task.spec;
  if (dependsOn.length === 0 || !prompt.includes('{{')) return prompt;
  const tasks = await Promise.all(dependsOn.map((name) => readTask(store, task.metadata.namespace, name)));
  const entries = tasks.flatMap((other) =>
    other === undefined
      ? []
      : [
          [
            other.metadata.name,
            {
              Name: other.metadata.name,
              Outputs: other.status?.outputs ?? [],
              Results: other.status?.results ?? {},
            },
          ] as const,
        ],
  );
  try {
    return parseTemplate(prompt).render({ Deps: new Map(entries) });
  } catch (thrown) {
    if (thrown instanceof TemplateError) return prompt;
    throw thrown;
  }
}

/** Whether a Task waits, directly or through others, for the one of that name. */
async function reaches(store: ResourceStore, from: Task, name: string): Promise<boolean> {
  const { namespace } = from.metadata;
  const open = [...(from.spec.dependsOn ?? [])];
  const visited = new Set<string>();
  for (let next = open.pop(); next !== undefined && visited.size < maxVisited; next = open.pop()) {
    if (next === name) return true;
    if (visited.has(next)) continue;
    visited.add(next);
    const task = await readTask(store, namespace, next);
    if (task !== undefined && terminalPhase(task) === undefined) open.push(...(task.spec.dependsOn ?? []));
  }
  return false;
}

async function readTask(store: ResourceStore, namespace: string, name: string): Promise<Task | undefined> {
  try {
    return await store.get('Task', { namespace, name });
  } catch (thrown) {
    if (isStoreError(thrown, 'NotFound')) return undefined;
    throw thrown;
  }
}
