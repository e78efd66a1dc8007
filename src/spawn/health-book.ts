import type { TaskSpawner } from '../api/task-spawner.ts';
import type { Clock } from '../base/clock.ts';
import { clampUtf8 } from '../base/text.ts';
import { type EventRecorder, subjectOf } from '../store/event-recorder.ts';
import type { Health } from './spawner-status.ts';

/** The same words again are news after so long. */
const repeatMs = 600_000;
/** Whoever sends bad events decides how many there are, but not how many Events are stored. */
const shortestGapMs = 1000;
/** Longest message in bytes: what an Event takes. */
const maxMessageBytes = 1024;

interface Entry {
  readonly health: Health;
  /** The last Event written: its words, and when, by the monotonic clock. */
  readonly told: { readonly message: string; readonly atMs: number } | undefined;
}

/** How each TaskSpawner fares in this process; trouble is also written down as a Warning Event. */
export class HealthBook {
  readonly #events: EventRecorder;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(events: EventRecorder, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  of(uid: string): Health {
    return this.#entries.get(uid)?.health ?? { kind: 'unknown' };
  }

  /** A work item became a Task. */
  well(spawner: TaskSpawner): void {
    const { uid } = spawner.metadata;
    this.#entries.set(uid, { health: { kind: 'well' }, told: this.#entries.get(uid)?.told });
  }

  /** A work item became none, and somebody has to do something about it. Returns whether that is news. */
  trouble(spawner: TaskSpawner, reason: string, text: string): boolean {
    const { uid } = spawner.metadata;
    const message = clampUtf8(text, maxMessageBytes);
    const { health, told } = this.#entries.get(uid) ?? { health: undefined, told: undefined };
    const atMs = this.#clock.monotonic();
    const gapMs = told === undefined ? Infinity : atMs - told.atMs;
    const tell = gapMs >= (told?.message === message ? repeatMs : shortestGapMs);
    if (tell) this.#events.record(subjectOf(spawner), 'Warning', reason, message);
    this.#entries.set(uid, {
      health: { kind: 'trouble', message },
      told: tell ? { message, atMs } : told,
    });
    return health?.kind !== 'trouble' || health.message !== message;
  }

  forget(uid: string): void {
    this.#entries.delete(uid);
  }
}
