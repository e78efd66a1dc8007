import type { Task } from '../../api/task.ts';
import { agentContainer } from '../../run/job/job-manifest.ts';
import { isStoreError } from '../../store/errors.ts';
import { type ApiServer, type ConnectOptions, connectApiServer } from '../../store/kubernetes/api-server.ts';
import { copyLog } from '../../store/kubernetes/pod-log.ts';
import type { CommandContext } from '../command-context.ts';
import { bytePrinter } from './print-bytes.ts';
import type { TaskLog } from './task-log.ts';

/** Connects to where the log is. @throws StoreError `Unavailable` with the remedy */
export async function openPodLog(where: ConnectOptions, context: CommandContext): Promise<TaskLog> {
  return new PodLog(await connectApiServer(where), context);
}

/** The logs of the Pods that a Task runs in, one after another. */
class PodLog implements TaskLog {
  readonly lookMs = 1_000;
  readonly #server: ApiServer;
  readonly #signal: AbortSignal;
  readonly #print: (bytes: Uint8Array) => void;
  #copied: string | undefined;

  constructor(server: ApiServer, context: CommandContext) {
    this.#server = server;
    this.#signal = context.signal;
    this.#print = bytePrinter(context);
  }

  async copy(task: Task | undefined, follow: boolean): Promise<boolean> {
    const name = task?.status?.podName;
    if (task === undefined || name === undefined) return false;
    if (name === this.#copied) return true;
    const pod = { namespace: task.metadata.namespace, name };
    try {
      const options = { container: agentContainer, follow, signal: this.#signal };
      for await (const bytes of copyLog(this.#server.transport, pod, options)) this.#print(bytes);
    } catch (thrown) {
      // There is no such Pod any more, or its program has not begun.
      if (isStoreError(thrown, 'NotFound') || isStoreError(thrown, 'Invalid')) return false;
      throw thrown;
    }
    this.#copied = name;
    return true;
  }

  close(): Promise<void> {
    return this.#server.transport.close();
  }
}
