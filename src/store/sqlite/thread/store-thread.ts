import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../../base/clock.ts';
import { toError } from '../../../base/errors.ts';
import type { LogFields, Logger } from '../../../base/log.ts';
import { openLocalFile } from '../local-file.ts';
import type { ResourceFile } from '../resource-file.ts';
import {
  eventText,
  failureOf,
  type Opening,
  type Reply,
  type Request,
  sizeOf,
  stateText,
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
      const call: UnderWay = { giveUp: new AbortController(), unconsumed: 0, resume: undefined };
      this.#underWay.set(id, call);
      void this.#answer(request, call)
        .catch((thrown: unknown): Reply => ({ id, is: 'failed', failure: failureOf(toError(thrown)) }))
        .then((reply) => {
          this.#underWay.delete(id);
          this.#outbox.post(reply);
        });
    }
  }

  async #answer(
    request: Exclude<Request, { call: 'give-up' | 'consumed' | 'cannot-be-read' }>,
    call: UnderWay,
  ): Promise<Reply> {
    const { id } = request;
    const { signal } = call.giveUp;
    switch (request.call) {
      case 'get': {
        const state = await this.#file.get(request.kind, request.key);
        return { id, is: 'state', state: state && stateText(state) };
      }
      case 'list': {
        const page = await this.#file.list(request.query, request.limit, request.from, signal);
        const { version, next } = page;
        return { id, is: 'page', items: page.items.map(stateText), version, next };
      }
      case 'write':
        return { id, is: 'state', state: stateText(await this.#file.write(request.write, signal)) };
      case 'watch':
        for await (const events of this.#file.watch(request.query, signal)) {
          const texts = events.map(eventText);
          this.#outbox.post({ id, is: 'events', events: texts });
          call.unconsumed += sizeOf(texts);
          while (call.unconsumed > maxUnconsumed && !signal.aborted)
            await new Promise<void>((resolve) => (call.resume = resolve));
        }
        return { id, is: 'done' };
      case 'ping':
        await this.#file.ping();
        return { id, is: 'done' };
      case 'close':
        await this.#file.close();
        return { id, is: 'done' };
    }
  }
}

/** What is to be said, handed over once in a turn of the event loop: handing over costs, whatever the size. */
class Outbox {
  readonly #port: MessagePort;
  #replies: (Reply | Opening)[] = [];

  constructor(port: MessagePort) {
    this.#port = port;
  }

  post(reply: Reply | Opening): void {
    this.#replies.push(reply);
    // What settles with one commit settles in one go of microtasks, all of it before this one.
    if (this.#replies.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const replies = this.#replies;
    this.#replies = [];
    this.#port.postMessage(replies);
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
