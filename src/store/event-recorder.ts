import { apiVersionOf, type Kind, type Resource } from '../api/kinds.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import type { ResourceStore } from './store.ts';

/** Whom an Event is about: a resource, or what is known of one that may be gone. */
export interface EventSubject {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * Writes Events: what people read with `describe`. Best effort and never in the way: a failed write is logged
 * and forgotten. Messages must hold no secret and no URL with a path.
 */
export class EventRecorder {
  readonly #store: ResourceStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pending = new Set<Promise<void>>();
  #sequence = 0;

  constructor(store: ResourceStore, clock: Clock, log: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  record(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const write = this.#write(subject, type, reason, message).catch((thrown: unknown) => {
      this.#log.debug('an Event was not written', { reason, error: toError(thrown).message });
    });
    this.#pending.add(write);
    void write.finally(() => this.#pending.delete(write));
  }

  /** Resolves when every Event handed over so far is written or given up. */
  async flush(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #write(
    subject: EventSubject,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
  ): Promise<void> {
    const now = this.#clock.now();
    this.#sequence += 1;
    // As Kubernetes names them: the subject, then something that no other Event of it has.
    const suffix = `${now.toString(16)}${(this.#sequence % 0x10000).toString(16).padStart(4, '0')}`;
    await this.#store.create<'Event'>({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: `${subject.name.slice(0, 253 - suffix.length - 1).replace(/[-.]+$/, '')}.${suffix}`,
        namespace: subject.namespace,
      },
      involvedObject: {
        apiVersion: apiVersionOf(subject.kind),
        kind: subject.kind,
        namespace: subject.namespace,
        name: subject.name,
        uid: subject.uid,
      },
      type,
      reason,
      message: clampUtf8(message, 1024),
      count: 1,
      firstTimestamp: rfc3339(now),
      lastTimestamp: rfc3339(now),
      source: { component: 'telos' },
    });
  }
}

/** The subject that a resource is. */
export function subjectOf(resource: Resource): EventSubject {
  const { namespace, name, uid } = resource.metadata;
  return { kind: resource.kind, namespace, name, uid };
}
