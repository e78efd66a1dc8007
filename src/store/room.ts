import type { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { Informers } from './informer.ts';
import type { NamespaceAccess } from './namespace-access.ts';
import type { Tenure } from './shards/tenure.ts';
import type { ResourceStore } from './store.ts';

/** What every room is given. Rooms hold nothing global and meet only at the store. */
export interface RoomDeps {
  readonly store: ResourceStore;
  /** The namespaces that the engine works in; undefined: all. */
  readonly namespaces?: readonly string[] | undefined;
  /** Which of them may be read now; undefined: all. */
  readonly access?: NamespaceAccess | undefined;
  /** Until when the work is ours; undefined: for as long as the room runs. */
  readonly tenure?: Tenure | undefined;
  /** Shared by all rooms; a room takes its views when it is made. */
  readonly informers: Informers;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the room registers its metrics. */
  readonly metrics: Registry;
}

/** One of spawn, run and report. */
export interface Room {
  /**
   * Works until the signal aborts, then ends what is under way and resolves. The informers are run by the
   * engine; a room waits for their first list itself.
   */
  run(signal: AbortSignal): Promise<void>;
}
