import type { Kind } from '../../api/kinds.ts';
import type { LabelSelector } from '../label-selector.ts';
import type { Key } from '../store.ts';
import type { ListPosition, ListQuery } from './list-reader.ts';
import type { State } from './state.ts';

/** What is to be written. `text` is the draft, the resource or the patch as JSON. */
export type Write =
  | { readonly verb: 'create'; readonly text: string; readonly dryRun?: boolean | undefined }
  | {
      readonly verb: 'update';
      readonly text: string;
      readonly subresource?: 'status' | undefined;
      readonly dryRun?: boolean | undefined;
    }
  | {
      readonly verb: 'patch';
      readonly kind: Kind;
      readonly key: Key;
      readonly text: string;
      readonly subresource?: 'status' | undefined;
      readonly dryRun?: boolean | undefined;
    }
  | {
      readonly verb: 'delete';
      readonly kind: Kind;
      readonly key: Key;
      readonly uid?: string | undefined;
      readonly resourceVersion?: string | undefined;
    };

export interface StatePage {
  readonly items: readonly State[];
  /** The version that the whole list stands for. */
  readonly version: number;
  /** Where the next page begins; undefined when there is none. */
  readonly next: ListPosition | undefined;
}

export interface WatchQuery {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly selector: LabelSelector;
  /** Changes after this version. */
  readonly from: number;
}

export type FileEvent<S = State> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly state: S }
  | { readonly type: 'BOOKMARK'; readonly version: number };

/**
 * The file that resources live in, wherever it is worked on: in this thread, or in one of its own. What
 * `ResourceStore` says of each operation holds here too; states stand for resources, so that JSON is only
 * parsed where somebody looks. Failures are StoreErrors.
 */
export interface ResourceFile {
  readonly path: string;
  get(kind: Kind, key: Key): Promise<State | undefined>;
  /** One page of at most `limit`, 0 for all; gives up between two reads when the signal aborts. */
  list(
    query: ListQuery,
    limit: number,
    from: ListPosition | undefined,
    signal: AbortSignal | undefined,
  ): Promise<StatePage>;
  /** Resolves when it is on disk. A write whose signal aborts before its turn is not made. */
  write(write: Write, signal: AbortSignal | undefined): Promise<State>;
  /** Events as they come, several at a time, until the signal aborts or the consumer returns. */
  watch(query: WatchQuery, signal: AbortSignal): AsyncIterable<readonly FileEvent[]>;
  ping(): Promise<void>;
  /** Takes note that the state of this version, which it gave, cannot be read: that makes the file damaged. */
  cannotBeRead(rv: number): void;
  close(): Promise<void>;
}
