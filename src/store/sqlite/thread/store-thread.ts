import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../../base/clock.ts';
import { toError } from '../../../base/errors.ts';
import type { LogFields, Logger } from '../../../base/log.ts';
import { openLocalFile } from '../local-file.ts';
import type { ResourceFile } from '../resource-file.ts';
import type { State } from '../state.ts';
import {
  failureOf,
  type Opening,
  type Parcel,
  type Reply,
  type Request,
  type StateText,
  sizeOf,
  withStates,
} from './messages.ts';

/**
 * How much of one watch may be on its way and not consumed, in UTF-16 units: more waits in the file, where it costs
 * nothing.
 */
const maxUnconsumed = 8_000_000;

/** A request that can be given up, and how much of its events is on its way. */
interface UnderWay {
  readonly giveUp: AbortController;
  unconsumed: number;
  /** Set while a watch waits for its consumer. */
  resume: (() => void) | undefined;
}

/** Answers requests for one file. Replies of one turn leave together. */
class FileHost {
  readonly #file: ResourceFile;
  readonly #outbox: Outbox;
  readonly #underWay = new Map<number, UnderWay>();

  constructor(file: ResourceFile, outbox: Outbox) {
    this.#file = file;
    this.#outbox = outbox;
  }

  take(request: Request): void {
    const { id } = request;
    if (request.call === 'give-up') {
      const call = this.#underWay.get(id);
      call?.giveUp.abort();
      call?.resume?.();
    } else if (request.call === 'consumed') {
      const call = this.#underWay.get(id);
      if (call === undefined) return;
      call.unconsumed -= request.size;
      call.resume?.();
    } else if (request.call === 'cannot-be-read') {
      this.#file.cannotBeRead(request.rv);
    } else {
      void this.#answer(request)
        .catch((thrown: unknown): Reply => ({ id, is: 'failed', failure: failureOf(toError(thrown)) }))
        .then((reply) => {
          this.#underWay.delete(id);
          this.#outbox.post(reply);
        });
    }
  }

  async #answer(
    request: Exclude<Request, { call: 'give-up' | 'consumed' | 'cannot-be-read' }>,
  ): Promise<Reply> {
    const { id } = request;
    switch (request.call) {
      case 'get':
        return { id, is: 'state', state: await this.#file.get(request.kind, request.key) };
      case 'list': {
        const { signal } = this.#revocable(id).giveUp;
        const page = await this.#file.list(request.query, request.limit, request.from, signal);
        return { id, is: 'page', ...page };
      }
      case 'write': {
        const signal = request.isRevocable ? this.#revocable(id).giveUp.signal : undefined;
        return { id, is: 'state', state: await this.#file.write(request.write, signal) };
      }
      case 'watch': {
        const call = this.#revocable(id);
        const { signal } = call.giveUp;
        for await (const events of this.#file.watch(request.query, signal)) {
          this.#outbox.post({ id, is: 'events', events });
          call.unconsumed += sizeOf(events);
          while (call.unconsumed > maxUnconsumed && !signal.aborted)
            await new Promise<void>((resolve) => (call.resume = resolve));
        }
        return { id, is: 'done' };
      }
      case 'ping':
        await this.#file.ping();
        return { id, is: 'done' };
      case 'close':
        await this.#file.close();
        return { id, is: 'done' };
    }
  }

  #revocable(id: number): UnderWay {
    const call: UnderWay = { giveUp: new AbortController(), unconsumed: 0, resume: undefined };
    this.#underWay.set(id, call);
    return call;
  }
}

/** What is to be said, handed over once in a turn of the event loop: handing over costs, whatever the size. */
class Outbox {
  readonly #port: MessagePort;
  #replies: (Reply<number> | Opening)[] = [];
  #states: StateText[] = [];
  readonly #places = new Map<State, number>();

  constructor(port: MessagePort) {
    this.#port = port;
  }

  post(reply: Reply | Opening): void {
    // Behind all microtasks: what settles with one commit, and the events about it, leaves together.
    if (this.#replies.length === 0) process.nextTick(() => this.#flush());
    this.#replies.push('id' in reply ? withStates(reply, (state) => this.#place(state)) : reply);
  }

  #place(state: State): number {
    let place = this.#places.get(state);
    if (place === undefined) {
      const { rv, json } = state;
      place = this.#states.push({ rv, json }) - 1;
      this.#places.set(state, place);
    }
    return place;
  }

  #flush(): void {
    const parcel: Parcel = { states: this.#states, replies: this.#replies };
    this.#states = [];
    this.#replies = [];
    this.#places.clear();
    this.#port.postMessage(parcel);
  }
}

function loggerTo(outbox: Outbox, common: LogFields = {}): Logger {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void =>
      outbox.post({ is: 'log', level, message, fields: { ...common, ...fields } });
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: (fields) => loggerTo(outbox, { ...common, ...fields }),
  };
}

async function serve(port: MessagePort, path: string): Promise<void> {
  const outbox = new Outbox(port);
  try {
    const file = await openLocalFile({ path, clock: systemClock, log: loggerTo(outbox) });
    const host = new FileHost(file, outbox);
    outbox.post({ is: 'opened', path: file.path });
    port.on('message', (requests: readonly Request[]) => {
      for (const request of requests) host.take(request);
    });
  } catch (thrown) {
    outbox.post({ is: 'not-opened', failure: failureOf(toError(thrown)) });
  }
}

if (parentPort !== null) void serve(parentPort, (workerData as { readonly path: string }).path);
