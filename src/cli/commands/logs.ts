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
import type { NoLog, TaskLog } from '../logs/task-log.ts';
import { readTarget } from '../read-resources.ts';
import { parseOneTarget, resourceName } from '../resource-argument.ts';
import { runDirectory } from '../store-location.ts';
import { withStore } from '../store-option.ts';

/** How often the rest of the log of a Task that has ended is asked for. */
const maxTriesAtEnd = 10;

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
      else await copyOnce(task, log);
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

async function copyOnce(task: Task, log: TaskLog): Promise<void> {
  const copy = await log.copy(task, false);
  if (copy.kind === 'none') throw noLog(task, copy);
}

function noLog(task: Task, { what, remedy }: NoLog): CliError {
  const where = `${resourceName(task)} (${task.status?.phase || 'Pending'})`;
  if (terminalPhase(task) === undefined) return new CliError(what, where, 'wait for it with -f');
  return new CliError(what, where, remedy ?? `see telos describe ${resourceName(task)}`);
}

async function follow(
  store: ResourceStore,
  task: Task,
  log: TaskLog,
  context: CommandContext,
): Promise<void> {
  const { signal, clock } = context;
  const note = noter(context);
  let last = task;
  let hasEnded = false;
  let anything = false;
  for (let failures = 0; ; ) {
    try {
      if (!hasEnded) {
        // Asked before the log is read: what was printed before the end is then in it.
        const present = await findRun(store, task, signal);
        hasEnded = present === undefined || terminalPhase(present) !== undefined;
        last = present ?? last;
      }
      const copy = await log.copy(last, !hasEnded);
      anything ||= copy.kind === 'copied';
      if (hasEnded && copy.kind === 'none' && !anything && terminalPhase(last) !== undefined)
        throw noLog(last, copy);
      if (hasEnded) return;
      note(copy.kind === 'none' ? waitingFor(last) : undefined);
      failures = 0;
    } catch (thrown) {
      // What is away comes back, and is asked again; what says no is not. Nobody writes any more what has ended.
      if (!isStoreError(thrown, 'Unavailable') || thrown.isRefusal) throw thrown;
      failures += 1;
      if (hasEnded && failures === maxTriesAtEnd) throw thrown;
      note(escapeControls(thrown.message));
    }
    await sleep(log.lookMs, signal, clock);
  }
}

function waitingFor(task: Task): string | undefined {
  const { message } = task.status ?? {};
  return message === undefined ? undefined : `${resourceName(task)} waits: ${escapeControls(message)}`;
}

/** Notes what keeps the log from coming, whenever that is something new. */
function noter(context: CommandContext): (what: string | undefined) => void {
  let told: string | undefined;
  return (what) => {
    if (what !== undefined && what !== told) printNote(context, what);
    told = what;
  };
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
