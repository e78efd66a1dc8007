import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Answer } from './roles.ts';

/** One POST as it came to a receiver, and what it was answered. */
export interface Arrival {
  /** The role of the receiver. */
  readonly role: string;
  readonly webhookId: string;
  /** As `telos-attempt` says. */
  readonly attempt: number;
  /** Which of the engines was alive: 1, 2, … */
  readonly life: number;
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

/** All that came to any receiver. It outlives the engines. */
export class Ledger {
  readonly arrivals: Arrival[] = [];
  /** Set with every start of an engine. */
  life = 0;
  readonly #answers = new Map<string, number>();
  #onArrival: (() => void) | undefined;
  #onSuccess: (() => void) | undefined;

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
    request: { readonly headers: IncomingHttpHeaders; readonly body: Buffer },
    answer: Answer,
    fault: string | undefined,
  ): void {
    const { headers, body } = request;
    this.arrivals.push({
      role,
      webhookId: String(headers['webhook-id']),
      attempt: Number(headers['telos-attempt']),
      life: this.life,
      bodyHash: createHash('sha256').update(body).digest('hex'),
      about: aboutOf(body),
      answer,
      fault,
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
