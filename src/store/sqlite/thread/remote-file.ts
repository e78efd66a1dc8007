import type { Worker } from 'node:worker_threads';
import type { Kind } from '../../../api/kinds.ts';
import type { Logger } from '../../../base/log.ts';
import { StoreError } from '../../errors.ts';
import type { Key } from '../../store.ts';
import type { ListPosition, ListQuery } from '../list-reader.ts';
import type { FileEvent, ResourceFile, StatePage, WatchQuery, Write } from '../resource-file.ts';
import { State } from '../state.ts';
import { errorOf, type Parcel, type Reply, type Request, sizeOf, withStates } from './messages.ts';

/** What waits for the replies to one request. */
interface Caller {
  readonly onReply: (reply: Reply & { readonly id: number }) => void;
  readonly onFailure: (error: Error) => void;
}

type Call<R extends Request = Request> = R extends Request ? Omit<R, 'id'> : never;

/** A file that another thread works on. Requests of one turn of the event loop travel together. */
export class RemoteFile implements ResourceFile {
  readonly path: string;
  readonly #worker: Worker;
  readonly #log: Logger;
  readonly #callers = new Map<number, Caller>();
  #outbox: Request[] = [];
  #lastId = 0;
  #lost: Error | undefined;
  #isClosing = false;

  constructor(worker: Worker, path: string, deps: { log: Logger; onLost: (error: Error) => void }) {
    this.path = path;
    this.#worker = worker;
    this.#log = deps.log;
    worker.on('message', (parcel: Parcel) => this.#unpack(parcel));
    const onEnd = (why: string): void => {
      if (this.#lost !== undefined) return;
      const error = new StoreError(
        'Unavailable',
        `store ${path}: its thread ended: ${why}; start Telos again`,
      );
      this.#lose(error);
      if (!this.#isClosing) deps.onLost(error);
    };
    worker.on('error', (error) => onEnd(error.message));
    worker.on('exit', (code) => onEnd(`exit code ${code}`));
    // Only what somebody waits for keeps the process alive.
    worker.unref();
  }

  async get(kind: Kind, { namespace, name }: Key): Promise<State | undefined> {
    const reply = await this.#ask({ call: 'get', kind, key: { namespace, name } });
    return reply.is === 'state' ? reply.state : undefined;
  }

  async list(
    query: ListQuery,
    limit: number,
    from: ListPosition | undefined,
    signal: AbortSignal | undefined,
  ): Promise<StatePage> {
    const reply = await this.#ask({ call: 'list', query, limit, from }, signal);
    if (reply.is !== 'page') throw unexpected(reply);
    return reply;
  }

  async write(write: Write, signal: AbortSignal | undefined): Promise<State> {
    const reply = await this.#ask({ call: 'write', write, isRevocable: signal !== undefined }, signal);
    if (reply.is !== 'state' || reply.state === undefined) throw unexpected(reply);
    return reply.state;
  }

  async *watch(query: WatchQuery, signal: AbortSignal): AsyncGenerator<readonly FileEvent[], void> {
    if (signal.aborted) return;
    const inbox = new Inbox();
    const id = this.#send({ call: 'watch', query }, inbox);
    const giveUp = (): void => {
      inbox.end();
      this.#post({ id, call: 'give-up' });
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      for (let events = await inbox.next(); events !== undefined; events = await inbox.next()) {
        yield events;
        this.#post({ id, call: 'consumed', size: sizeOf(events) });
      }
    } finally {
      signal.removeEventListener('abort', giveUp);
      if (this.#callers.has(id)) this.#post({ id, call: 'give-up' });
    }
  }

  async ping(): Promise<void> {
    await this.#ask({ call: 'ping' });
  }

  cannotBeRead(rv: number): void {
    this.#post({ id: 0, call: 'cannot-be-read', rv });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    try {
      if (this.#lost === undefined) await this.#ask({ call: 'close' });
    } finally {
      // Whoever still waits (a list between two reads, a watch whose consumer is slow) is told.
      this.#lose(new StoreError('Unavailable', `store ${this.path}: is closed`));
      await this.#worker.terminate();
    }
  }

  /** Resolves with the one reply. */
  #ask(call: Call, signal?: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => this.#post({ id, call: 'give-up' });
      const settled = (): void => signal?.removeEventListener('abort', giveUp);
      const id = this.#send(call, {
        onReply: (reply) => {
          settled();
          resolve(reply);
        },
        onFailure: (error) => {
          settled();
          reject(error);
        },
      });
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  #send(call: Call, caller: Caller): number {
    this.#lastId += 1;
    const id = this.#lastId;
    if (this.#lost !== undefined) {
      caller.onFailure(this.#lost);
      return id;
    }
    if (this.#callers.size === 0) this.#worker.ref();
    this.#callers.set(id, caller);
    this.#post({ ...call, id });
    return id;
  }

  #post(request: Request): void {
    if (this.#lost !== undefined) return;
    this.#outbox.push(request);
    if (this.#outbox.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const requests = this.#outbox;
    this.#outbox = [];
    this.#worker.postMessage(requests);
  }

  #unpack({ states: texts, replies }: Parcel): void {
    const states = texts.map(({ rv, json }) => new State(rv, json));
    const stateAt = (place: number): State => {
      const state = states[place];
      if (state === undefined) throw new Error("the store's thread speaks of a state that it did not send");
      return state;
    };
    for (const reply of replies)
      if (reply.is !== 'opened' && reply.is !== 'not-opened') this.#take(withStates(reply, stateAt));
  }

  #take(reply: Reply): void {
    if (reply.is === 'log') {
      this.#log[reply.level](reply.message, reply.fields);
      return;
    }
    const caller = this.#callers.get(reply.id);
    if (reply.is !== 'events') this.#forget(reply.id);
    if (reply.is === 'failed') caller?.onFailure(errorOf(reply.failure));
    else caller?.onReply(reply);
  }

  #forget(id: number): void {
    this.#callers.delete(id);
    if (this.#callers.size === 0) this.#worker.unref();
  }

  /** Ends everything that is under way; nothing is asked any more. */
  #lose(error: Error): void {
    this.#lost ??= error;
    const callers = [...this.#callers.values()];
    this.#callers.clear();
    for (const caller of callers) caller.onFailure(error);
  }
}

/** What came of a watch and was not consumed yet. */
class Inbox implements Caller {
  readonly #batches: (readonly FileEvent[])[] = [];
  #failure: Error | undefined;
  #isOver = false;
  #wake: (() => void) | undefined;

  onReply(reply: Reply): void {
    // What was on its way when it was given up is not wanted either.
    if (this.#isOver) return;
    if (reply.is === 'events') this.#batches.push(reply.events);
    else this.#isOver = true;
    this.#wake?.();
  }

  onFailure(error: Error): void {
    this.#failure = error;
    this.#isOver = true;
    this.#wake?.();
  }

  /** Nothing more is wanted. */
  end(): void {
    this.#batches.length = 0;
    this.#isOver = true;
    this.#wake?.();
  }

  /** The next events; undefined at the end. @throws what the watch failed with */
  async next(): Promise<readonly FileEvent[] | undefined> {
    while (this.#batches.length === 0 && !this.#isOver)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    const batch = this.#batches.shift();
    if (batch === undefined && this.#failure !== undefined) throw this.#failure;
    return batch;
  }
}

function unexpected(reply: Reply): Error {
  return new Error(`the store's thread gave an answer of another kind: ${reply.is}`);
}
