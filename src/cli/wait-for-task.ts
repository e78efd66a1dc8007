import { type Task, terminalPhase } from '../api/task.ts';
import { escapeControls } from '../base/text.ts';
import { isStoreError } from '../store/errors.ts';
import { keyOf, type ResourceStore } from '../store/store.ts';
import { CliError } from './cli-error.ts';
import { type CommandContext, printLine, printNote } from './command-context.ts';
import { isObjectFormat, printObjects } from './print-resources.ts';
import { resourceName } from './resource-argument.ts';

/** How long a Task may stay Pending before people are told why that might be, in milliseconds. */
const patienceMs = 5000;

/**
 * Shows the phases of a Task until its end, then its outputs. Returns the exit code: 1 when it Failed.
 * @throws CliError when the Task is deleted meanwhile
 */
export async function waitForTask(
  store: ResourceStore,
  created: Task,
  context: CommandContext,
): Promise<0 | 1> {
  const cancelNote = context.clock.after(patienceMs, () =>
    printNote(
      context,
      `${resourceName(created)} still waits to be started: is telos up running on this store?`,
    ),
  );
  let shown = '';
  try {
    for await (const task of versions(store, created, context.signal)) {
      const phase = task.status?.phase || 'Pending';
      if (phase !== 'Pending') cancelNote();
      if (phase !== shown && !isObjectFormat(context.options.output)) showPhase(task, phase, context);
      shown = phase;
      if (terminalPhase(task) !== undefined) return end(task, context);
    }
  } finally {
    cancelNote();
  }
  throw new CliError('it was deleted', resourceName(created), 'run it again');
}

/** The Task as it is, and as it changes; ends when it is deleted. */
async function* versions(store: ResourceStore, created: Task, signal: AbortSignal): AsyncGenerator<Task> {
  const key = keyOf(created);
  let { resourceVersion } = created.metadata;
  yield created;
  for (;;) {
    signal.throwIfAborted();
    try {
      for await (const event of store.watch('Task', { namespace: key.namespace, resourceVersion, signal })) {
        if (event.type === 'BOOKMARK') {
          resourceVersion = event.resourceVersion;
          continue;
        }
        resourceVersion = event.resource.metadata.resourceVersion;
        if (event.resource.metadata.uid !== created.metadata.uid) continue;
        if (event.type === 'DELETED') return;
        yield event.resource;
      }
    } catch (thrown) {
      if (!isStoreError(thrown, 'Gone')) throw thrown;
      const page = await store.list('Task', { namespace: key.namespace, limit: 1, signal });
      resourceVersion = page.resourceVersion;
      yield await store.get('Task', key, { signal });
    }
  }
}

function showPhase(task: Task, phase: string, context: CommandContext): void {
  const message = task.status?.message;
  const detail = message === undefined || message === '' ? '' : `: ${escapeControls(message)}`;
  printLine(context, `${resourceName(task)} ${phase}${detail}`);
}

function end(task: Task, context: CommandContext): 0 | 1 {
  if (isObjectFormat(context.options.output)) printObjects(context, [task], true);
  else for (const output of task.status?.outputs ?? []) printLine(context, escapeControls(output));
  return terminalPhase(task) === 'Succeeded' ? 0 : 1;
}
