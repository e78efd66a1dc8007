import { type FileHandle, open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { type Task, terminalPhase } from '../../api/task.ts';
import { sleep } from '../../base/abort.ts';
import { errorCode } from '../../base/errors.ts';
import { logPath } from '../../run/process/process-runner.ts';
import { isStoreError } from '../../store/errors.ts';
import { keyOf, type ResourceStore } from '../../store/store.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command-context.ts';
import { readTarget } from '../read-resources.ts';
import { parseOneTarget, resourceName } from '../resource-argument.ts';
import { runDirectory } from '../store-location.ts';
import { withStore } from '../store-option.ts';
import { terminalText } from '../terminal-text.ts';

/** How often a followed log is looked at, in milliseconds. */
const followIntervalMs = 200;

/** `telos logs`: what the program of a Task printed; with `-f` until the Task has ended. */
export async function logs(
  context: CommandContext,
  args: readonly string[],
  flags: { readonly follow?: boolean },
): Promise<void> {
  const { name } = parseOneTarget(args, ['Task']);
  await withStore(context, async (store) => {
    const task = await readTarget(store, { kind: 'Task', name }, context);
    const path = logPathOf(task, context);
    const log = new LogReader(path, context);
    try {
      if (flags.follow) await follow(store, task, log, context);
      else if (!(await log.copy())) throw noLog(task);
    } finally {
      await log.close();
    }
  });
}

function logPathOf(task: Task, context: CommandContext): string {
  const { store } = context.options;
  if (store.kind === 'sqlite') return logPath(runDirectory(store.path), task.metadata.uid);
  const { podName } = task.status ?? {};
  const { namespace } = task.metadata;
  const remedy =
    podName === undefined ? 'use kubectl logs' : `use kubectl logs -n ${namespace} ${podName} -c kelos-agent`;
  throw new CliError('not built yet', 'telos logs --store kubernetes', remedy);
}

function noLog(task: Task): CliError {
  const phase = task.status?.phase || 'Pending';
  const remedy =
    terminalPhase(task) === undefined ? 'wait for it with -f' : `see telos describe ${resourceName(task)}`;
  return new CliError('there is no log', `${resourceName(task)} (${phase})`, remedy);
}

async function follow(
  store: ResourceStore,
  task: Task,
  log: LogReader,
  context: CommandContext,
): Promise<void> {
  for (;;) {
    // Asked before the log is read: what was printed before the end is then in it.
    const present = await findRun(store, task, context.signal);
    const copied = await log.copy();
    if (present === undefined) return;
    if (terminalPhase(present) !== undefined) {
      if (!copied) throw noLog(present);
      return;
    }
    await sleep(followIntervalMs, context.signal, context.clock);
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

/** Copies a growing file to stdout, each byte once. */
class LogReader {
  readonly #path: string;
  readonly #context: CommandContext;
  readonly #decoder = new StringDecoder('utf8');
  #handle: FileHandle | undefined;

  constructor(path: string, context: CommandContext) {
    this.#path = path;
    this.#context = context;
  }

  /** Copies what is new. False when there is no file. */
  async copy(): Promise<boolean> {
    this.#handle ??= await openIfThere(this.#path);
    if (this.#handle === undefined) return false;
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      this.#context.signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return true;
      this.#write(buffer.subarray(0, bytesRead));
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }

  #write(bytes: Buffer): void {
    const { stdout } = this.#context;
    // Into a file or pipe the bytes go as they are; a terminal would obey them.
    stdout.write(stdout.isTTY ? terminalText(this.#decoder.write(bytes)) : Buffer.from(bytes));
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}
