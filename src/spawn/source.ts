import type { Fault } from '../api/fault.ts';
import { TelosError } from '../base/errors.ts';
import type { WorkItem } from './work-item.ts';

/**
 * Where the work items of one TaskSpawner come from: its `spec.when`, checked and compiled. A source is pure;
 * the rooms around it bring events and the time, and store what comes of them.
 */
export type Source = EventSource | ScheduledSource;

/** A source that others send events to. */
export interface EventSource {
  readonly kind: 'event';
  /** What an event says to this source. `payload` is the parsed body, `body` its raw bytes. */
  read(event: { readonly payload: unknown; readonly body: Uint8Array }): Reading;
}

/** A yes with its work item, or a no with its reason; `failed` is a no that somebody has to look at. */
export type Reading =
  | { readonly outcome: 'item'; readonly item: WorkItem }
  | { readonly outcome: 'failed'; readonly reason: string }
  | { readonly outcome: 'filtered'; readonly reason: string };

/** A source that finds work items as time goes by. */
export interface ScheduledSource {
  readonly kind: 'schedule';
  /**
   * The items in (`afterMs`, `nowMs`], oldest first, at most `limit`. `throughMs` is the time they reach to:
   * where the next call begins.
   */
  due(afterMs: number, nowMs: number, limit: number): DueItems;
  /** When the next item comes after `afterMs`; undefined: never. */
  next(afterMs: number): number | undefined;
}

export interface DueItems {
  readonly items: readonly WorkItem[];
  readonly throughMs: number;
  /** Whether the limit cut the items short. */
  readonly more: boolean;
}

/** A TaskSpawner that cannot be worked as it is written. The message says where and what to change. */
export class SpawnerConfigError extends TelosError {
  declare readonly code: 'SourceInvalid' | 'TemplateInvalid' | 'NotSupported';
  readonly fault: Fault;

  constructor(
    code: 'SourceInvalid' | 'TemplateInvalid' | 'NotSupported',
    fault: Fault,
    options?: ErrorOptions,
  ) {
    super(code, `${fault.path}: ${fault.message}`, options);
    this.fault = fault;
  }
}

/** What is wrong with a part of a TaskSpawner: the fault that compiling it ends with, if any. */
export function configFaults(compile: () => unknown): readonly Fault[] {
  try {
    compile();
    return [];
  } catch (thrown) {
    if (!(thrown instanceof SpawnerConfigError)) throw thrown;
    return [thrown.fault];
  }
}
