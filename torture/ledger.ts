import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from './roles.ts';

/** One POST as it came to a receiver, and what it was answered. */
export interface Arrival {
  /** The role of the receiver. */
  readonly role: string;
  readonly webhookId: string;
  /** As `telos-attempt` says. */
  readonly attempt: number;
  /** Which of all engines sent it: 1, 2, … */
  readonly engine: number;
  readonly stay: Stay;
  readonly bodyHash: string;
  /** What the body says it is about. */
  readonly about: {
    readonly task?: string;
    readonly phase?: string;
    readonly completionTime?: string;
  };
  readonly answer: Answer;
  /** What was wrong with the request itself. */
  readonly fault: string | undefined;
}

/** How long an attempt was under way, as its receiver saw it. Monotonic milliseconds. */
export interface Stay {
  /** When its head was read. */
  readonly from: number;
  /** When the answer was begun, or the connection seen to be closed; undefined: neither. */
  to?: number;
}

/** All that came to any receiver. It outlives the engines. */
export class Ledger {
  readonly arrivals: Arrival[] = [];
  /** Who connected from which port to which. */
  readonly #senders = new Map<string, number>();
  readonly #answers = new Map<string, number>();
  #onArrival: (() => void) | undefined;
  #onSuccess: (() => void) | undefined;

  /** To be called with each connection of an engine, before anything comes on it. */
  connected(engine: number, from: number, to: number): void {
    this.#senders.set(`${from} ${to}`, engine);
  }

  /** How many POSTs of a Task came to a role before this one; counts this one. */
  before(role: string, task: string): number {
    const key = `${role} ${task}`;
    const before = this.#answers.get(key) ?? 0;
    this.#answers.set(key, before + 1);
    return before;
  }

  /** To be called before anything of the answer is sent: so no engine knows of a success that is not here. */
  add(
    role: string,
    request: { readonly headers: IncomingHttpHeaders; readonly body: Buffer; readonly socket: Socket },
    stay: Stay,
    answer: Answer,
    fault: string | undefined,
  ): void {
    const { headers, body, socket } = request;
    const engine = this.#senders.get(`${socket.remotePort} ${socket.localPort}`);
    this.arrivals.push({
      role,
      webhookId: String(headers['webhook-id']),
      attempt: Number(headers['telos-attempt']),
      engine: engine ?? 0,
      stay,
      bodyHash: createHash('sha256').update(body).digest('hex'),
      about: aboutOf(body),
      answer,
      fault: engine === undefined ? 'no engine says that it has sent it' : fault,
    });
    this.#onArrival?.();
  }

  /** To be called when a 2xx is on its way. */
  succeeded(): void {
    this.#onSuccess?.();
  }

  /** Resolves with the nth POST that comes from now on, before it is answered. */
  arrival(nth: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onArrival = countdown(nth, resolve);
    });
  }

  /** Resolves when the nth 2xx from now on is on its way, most likely before the engine has read it. */
  success(nth: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onSuccess = countdown(nth, resolve);
    });
  }
}

function countdown(count: number, then: () => void): () => void {
  let left = count;
  return () => {
    left -= 1;
    if (left === 0) then();
  };
}

/** What a body of format json says it is about; nothing when it is no such body. */
export function aboutOf(body: Buffer): Arrival['about'] {
  try {
    const { task, phase, completionTime } = JSON.parse(body.toString('utf8')) as Arrival['about'];
    return {
      ...(task === undefined ? {} : { task }),
      ...(phase === undefined ? {} : { phase }),
      ...(completionTime === undefined ? {} : { completionTime }),
    };
  } catch {
    return {};
  }
}
