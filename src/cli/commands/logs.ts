import { type Task, terminalPhase } from '../../api/task.ts';
import { sleep } from '../../base/abort.ts';
import { silentLogger } from '../../base/log.ts';
import { escapeControls } from '../../base/text.ts';
import { logPath } from '../../run/process/process-runner.ts';
import { isStoreError } from '../../store/errors.ts';
import { keyOf, type ResourceStore } from '../../store/store.ts';
import { CliError } from '../cli-error.ts';
import { type CommandContext, printNote } from '../command-context.ts';
import { FileLog } from '../logs/file-log.ts';
import type { TaskLog } from '../logs/task-log.ts';
import { readTarget } from '../read-resources.ts';
import { parseOneTarget, resourceName } from '../resource-argument.ts';
import { runDirectory } from '../store-location.ts';
import { withStore } from '../store-option.ts';

/** `telos logs`: what the program of a Task printed; with `-f` until the Task has ended. */
export async function logs(
  context: CommandContext,
  args: readonly string[],
  flags: { readonly follow?: boolean },
): Promise<void> {
  const { name } = parseOneTarget(args, ['Task']);
  await withStore(context, async (store) => {
    const task = await readTarget(store, { kind: 'Task', name }, context);
    const log = await logOf(task, context);
    try {
      if (flags.follow) await follow(store, task, log, context);
      else if (!(await log.copy(task, false))) throw noLog(task);
    } finally {
      await log.close();
    }
  });
}

async function logOf(task: Task, context: CommandContext): Promise<TaskLog> {
  const { store } = context.options;
  if (store.kind === 'sqlite')
    return new FileLog(logPath(runDirectory(store.path), task.metadata.uid), context);
  const { openPodLog } = await import('../logs/pod-log.ts');
  return openPodLog(
    { context: store.context, env: context.env, clock: context.clock, log: silentLogger },
    context,
  );
}

function noLog(task: Task): CliError {
  const { phase, podName } = task.status ?? {};
  const where = `${resourceName(task)} (${phase || 'Pending'})`;
  if (terminalPhase(task) === undefined) return new CliError('there is no log', where, 'wait for it with -f');
  const remedy = `see telos describe ${resourceName(task)}`;
  return podName === undefined
    ? new CliError('there is no log', where, remedy)
    : new CliError('there is no log', where, `its Pod ${podName} is gone, or never began: ${remedy}`);
}

async function follow(
  store: ResourceStore,
  task: Task,
  log: TaskLog,
  context: CommandContext,
): Promise<void> {
  let told: string | undefined;
  for (;;) {
    // Asked before the log is read: what was printed before the end is then in it.
    const present = await findRun(store, task, context.signal);
    const copied = await log.copy(present, true);
    if (present === undefined) return;
    if (terminalPhase(present) !== undefined) {
      if (!copied) throw noLog(present);
      return;
    }
    const why = copied ? undefined : present.status?.message;
    if (why !== undefined && why !== told) {
      printNote(context, `${resourceName(present)} waits: ${escapeControls(why)}`);
      told = why;
    }
    await sleep(log.lookMs, context.signal, context.clock);
  }
}

/** The same Task as it is now; undefined when it is gone. */
async function findRun(store: ResourceStore, task: Task, signal: AbortSignal): Promise<Task | undefined> {
  try {
    const present = await store.get('Task', keyOf(task), { signal });
    return present.metadata.uid === task.metadata.uid ? present : undefined;
  } catch (thrown) {
    if (isStoreError(thrown, 'NotFound')) return undefined;
    throw thrown;
  }
}
