import { type Task, terminalPhase } from '../../api/task.ts';
import { agentContainer } from '../../run/job/job-manifest.ts';
import { isStoreError } from '../../store/errors.ts';
import { type ApiServer, type ConnectOptions, connectApiServer } from '../../store/kubernetes/api-server.ts';
import { copyLog } from '../../store/kubernetes/pod-log.ts';
import type { Transport } from '../../store/kubernetes/transport.ts';
import type { Key } from '../../store/store.ts';
import type { CommandContext } from '../command-context.ts';
import { bytePrinter } from './print-bytes.ts';
import { StampedLog } from './stamped-log.ts';
import type { LogCopy, TaskLog } from './task-log.ts';

type Surroundings = Pick<CommandContext, 'stdout' | 'signal' | 'clock'>;

/** How long a log is followed without a word: its program may be quiet, or the connection dead. */
const maxSilenceMs = 60_000;

/** Connects to where the log is. @throws StoreError `Unavailable` with the remedy */
export async function openPodLog(where: ConnectOptions, context: CommandContext): Promise<TaskLog> {
  const server: ApiServer = await connectApiServer(where);
  return new PodLog(server.transport, context);
}

/** The logs of the Pods that a Task runs in, one after another. Kubernetes keeps each as long as its Pod. */
export class PodLog implements TaskLog {
  readonly lookMs = 1_000;
  readonly #transport: Transport;
  readonly #context: Surroundings;
  readonly #print: (bytes: Uint8Array) => void;
  #reading: { readonly pod: Key; readonly log: StampedLog } | undefined;

  constructor(transport: Transport, context: Surroundings) {
    this.#transport = transport;
    this.#context = context;
    this.#print = bytePrinter(context);
  }

  async copy(task: Task, follow: boolean): Promise<LogCopy> {
    const { podName } = task.status ?? {};
    if (podName === undefined) return noPod(task);
    if (this.#reading?.pod.name !== podName) {
      await this.#leave();
      this.#reading = { pod: { namespace: task.metadata.namespace, name: podName }, log: new StampedLog() };
    }
    const { pod, log } = this.#reading;
    try {
      await this.#read(pod, log, follow);
      return { kind: 'copied' };
    } catch (thrown) {
      const none = noLogOf(podName, thrown);
      if (none === undefined) throw thrown;
      return none;
    }
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  /** Reads the end of a Pod that has a successor: the connection may have broken before it. */
  async #leave(): Promise<void> {
    if (this.#reading === undefined) return;
    const { pod, log } = this.#reading;
    try {
      await this.#read(pod, log, false);
    } catch (thrown) {
      if (noLogOf(pod.name, thrown) === undefined) throw thrown;
    }
  }

  async #read(pod: Key, log: StampedLog, follow: boolean): Promise<void> {
    const { signal, clock } = this.#context;
    const silence = new AbortController();
    const listen = (): (() => void) => clock.after(maxSilenceMs, () => silence.abort());
    let cancel = follow ? listen() : () => {};
    const request = {
      container: agentContainer,
      follow,
      sinceTime: log.sinceTime,
      signal: AbortSignal.any([signal, silence.signal]),
    };
    try {
      for await (const bytes of log.rest(copyLog(this.#transport, pod, request))) {
        this.#print(bytes);
        cancel();
        if (follow) cancel = listen();
      }
    } catch (thrown) {
      signal.throwIfAborted();
      if (!silence.signal.aborted) throw thrown;
    } finally {
      cancel();
    }
  }
}

function noPod(task: Task): LogCopy {
  return {
    kind: 'none',
    what:
      terminalPhase(task) === undefined
        ? 'there is no Pod yet, and so no log'
        : 'it had no Pod, and so no log',
  };
}

/** Undefined: what was thrown is about something else. */
function noLogOf(podName: string, thrown: unknown): LogCopy | undefined {
  if (isStoreError(thrown, 'NotFound')) {
    return {
      kind: 'none',
      what: `Pod ${podName} is gone, and its log with it`,
      remedy: 'look where the logs of the cluster are collected',
    };
  }
  if (isStoreError(thrown, 'Invalid')) {
    const [why] = thrown.faults;
    return { kind: 'none', what: `Pod ${podName} has printed nothing (${why?.message ?? thrown.message})` };
  }
  return undefined;
}
