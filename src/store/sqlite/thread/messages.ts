import type { Fault } from '../../../api/fault.ts';
import type { Kind } from '../../../api/kinds.ts';
import type { LogFields } from '../../../base/log.ts';
import { StoreError, type StoreErrorCode } from '../../errors.ts';
import type { Key } from '../../store.ts';
import type { ListPosition, ListQuery } from '../list-reader.ts';
import type { FileEvent, WatchQuery, Write } from '../resource-file.ts';
import type { State } from '../state.ts';

/** What the file's user asks of its thread. Messages travel several at a time, in order. */
export type Request =
  | { readonly id: number; readonly call: 'get'; readonly kind: Kind; readonly key: Key }
  | {
      readonly id: number;
      readonly call: 'list';
      readonly query: ListQuery;
      readonly limit: number;
      readonly from: ListPosition | undefined;
    }
  | {
      readonly id: number;
      readonly call: 'write';
      readonly write: Write;
      /** Whether it may be given up: what makes that possible costs more than the rest of a request. */
      readonly isRevocable: boolean;
    }
  | { readonly id: number; readonly call: 'watch'; readonly query: WatchQuery }
  | { readonly id: number; readonly call: 'ping' | 'close' }
  /** The caller of `id` no longer wants it: ends a watch and a list, withdraws a write whose turn has not come. */
  | { readonly id: number; readonly call: 'give-up' }
  /** The state of version `rv` cannot be read; `id` is nobody's. */
  | { readonly id: number; readonly call: 'cannot-be-read'; readonly rv: number }
  /** Events of watch `id` of this size together were consumed. */
  | { readonly id: number; readonly call: 'consumed'; readonly size: number };

/** What the thread says. `id` is that of the request, `S` what stands for a state. */
export type Reply<S = State> =
  | { readonly id: number; readonly is: 'done' }
  | { readonly id: number; readonly is: 'state'; readonly state: S | undefined }
  | {
      readonly id: number;
      readonly is: 'page';
      readonly items: readonly S[];
      readonly version: number;
      readonly next: ListPosition | undefined;
    }
  | { readonly id: number; readonly is: 'events'; readonly events: readonly FileEvent<S>[] }
  | { readonly id: number; readonly is: 'failed'; readonly failure: Failure }
  | LogLine;

/**
 * What the thread says in one go. A state that several replies speak of, such as the answer to a write and the event
 * about it, travels once, and is one and the same on the other side, so that it is parsed once: replies name states
 * by their place in `states`.
 */
export interface Parcel {
  readonly states: readonly StateText[];
  readonly replies: readonly (Reply<number> | Opening)[];
}

/** What the thread says before it takes requests. */
export type Opening =
  | { readonly is: 'opened'; readonly path: string }
  | { readonly is: 'not-opened'; readonly failure: Failure }
  | LogLine;

export interface LogLine {
  readonly is: 'log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** A state: JSON is cheaper to hand over than the object that it stands for. */
export interface StateText {
  readonly rv: number;
  readonly json: string;
}

/** What events take up on their way, in UTF-16 units, roughly. */
export function sizeOf(events: readonly FileEvent[]): number {
  return events.reduce(
    (sum, event) => sum + 100 + (event.type === 'BOOKMARK' ? 0 : event.state.json.length),
    0,
  );
}

export interface Failure {
  readonly code: StoreErrorCode | undefined;
  readonly message: string;
  readonly faults: readonly Fault[];
}

/** The same reply with other stand-ins for its states. */
export function withStates<A, B>(reply: Reply<A>, standIn: (state: A) => B): Reply<B> {
  switch (reply.is) {
    case 'state':
      return { ...reply, state: reply.state === undefined ? undefined : standIn(reply.state) };
    case 'page':
      return { ...reply, items: reply.items.map(standIn) };
    case 'events':
      return {
        ...reply,
        events: reply.events.map((event) =>
          event.type === 'BOOKMARK' ? event : { type: event.type, state: standIn(event.state) },
        ),
      };
    default:
      return reply;
  }
}

export function failureOf(error: Error): Failure {
  if (!(error instanceof StoreError)) return { code: undefined, message: error.message, faults: [] };
  const { code, message, faults } = error;
  return { code, message, faults };
}

export function errorOf({ code, message, faults }: Failure): Error {
  return code === undefined ? new Error(message) : new StoreError(code, message, { faults });
}
