import type { Kind } from '../../api/kinds.ts';
import { matchesLabels } from '../label-selector.ts';
import { gone } from '../refusals.ts';
import type { FileEvent, WatchQuery } from './resource-file.ts';
import type { Revision } from './revision.ts';
import { isBusy, toStoreError } from './sqlite-errors.ts';
import { State } from './state.ts';
import type { Tables } from './tables.ts';

/** How often changes by other processes are looked for. One look is a read of shared memory. */
const pollMs = 30;
/** How often a watcher without events is told how far the store is. */
const bookmarkMs = 60_000;
/** Changes kept in memory for watchers that have yet to take them: this many, and about this many UTF-16 units of JSON. */
const maxRecent = 1024;
const maxRecentSize = 16_000_000;
/** Changes that a watcher takes from the feed at a time. */
const batchSize = 256;

interface Watcher {
  readonly kind: Kind;
  /** Everything up to here is delivered, or does not concern this watcher. */
  cursor: number;
  bookmarkDue: boolean;
  /** Set while it waits; ends the wait. */
  wake: (() => void) | undefined;
  ended: boolean;
  /** Why it ended, when not on demand. */
  failure: Error | undefined;
}

/**
 * Hands changes to watchers in the order of their versions, nothing skipped, nothing twice.
 *
 * F1. `#recent` holds every change in (#trimmed, #seen], whoever made it.
 * F2. A watcher is a cursor: it reads from `#recent`, or, when it is further behind, from the table. So a slow
 *     one costs no memory; one slower than the history is kept is told `Gone`.
 * F3. A watcher that waits has seen everything up to `#seen`.
 * F4. When others compacted what the feed itself had yet to read, all watchers are told `Gone`.
 */
export class WatchFeed {
  readonly #tables: Tables;
  readonly #onForeignCommit: () => void;
  readonly #watchers = new Set<Watcher>();
  #recent: Revision[] = [];
  #recentSize = 0;
  #trimmed = 0;
  #seen = 0;
  #foreignCommits = -1;
  #poll: NodeJS.Timeout | undefined;
  #bookmarksAt = 0;

  /** `onForeignCommit` is told when another process has written, while there are watchers. */
  constructor(tables: Tables, onForeignCommit: () => void) {
    this.#tables = tables;
    this.#onForeignCommit = onForeignCommit;
  }

  /** Takes in what this process just committed. */
  publish(revisions: readonly Revision[]): void {
    const [first] = revisions;
    if (this.#watchers.size === 0 || first === undefined) return;
    try {
      // Another process may have committed in between, not yet noticed.
      if (first.rv > this.#seen + 1) this.#readUpTo(first.rv - 1);
      this.#take(revisions);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Events until the signal aborts or an error ends it. */
  async *watch(query: WatchQuery, signal: AbortSignal): AsyncGenerator<readonly FileEvent[], void> {
    if (signal.aborted) return;
    const watcher: Watcher = {
      kind: query.kind,
      cursor: query.from,
      bookmarkDue: false,
      wake: undefined,
      ended: false,
      failure: undefined,
    };
    const stop = (): void => end(watcher, undefined);
    signal.addEventListener('abort', stop, { once: true });
    this.#register(watcher);
    try {
      if (watcher.cursor > this.#seen) throw gone(`version ${watcher.cursor} is not of this store`);
      yield* this.#events(query, watcher);
      if (watcher.failure !== undefined) throw watcher.failure;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#stopPolling();
    }
  }

  /** Ends all watches. */
  close(): void {
    for (const watcher of this.#watchers) end(watcher, undefined);
    this.#stopPolling();
  }

  async *#events(query: WatchQuery, watcher: Watcher): AsyncGenerator<readonly FileEvent[], void> {
    while (!watcher.ended) {
      const revisions = this.#next(watcher);
      const last = revisions.at(-1);
      if (last !== undefined) {
        watcher.cursor = last.rv;
        this.#trim();
        const events = revisions.flatMap((revision) => toEvent(revision, query) ?? []);
        if (events.length > 0) yield events;
      } else if (watcher.cursor < this.#seen) {
      } else if (watcher.bookmarkDue) {
        watcher.bookmarkDue = false;
        yield [{ type: 'BOOKMARK', version: watcher.cursor }];
      } else await this.#wait(watcher);
    }
  }

  #register(watcher: Watcher): void {
    if (this.#watchers.size === 0) {
      this.#foreignCommits = this.#tables.foreignCommits();
      this.#seen = this.#tables.currentVersion();
      this.#trimmed = this.#seen;
      this.#bookmarksAt = performance.now() + bookmarkMs;
      // Not unref'd: whoever watches waits for something.
      this.#poll = setInterval(() => this.#lookForOthers(), pollMs);
    } else {
      // The version to watch from may come from a list that saw more than the last look did.
      this.#catchUp();
    }
    this.#watchers.add(watcher);
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
    this.#recent = [];
    this.#recentSize = 0;
  }

  /** The next changes after the watcher's cursor; moves the cursor over stretches without any of its kind. */
  #next(watcher: Watcher): readonly Revision[] {
    if (watcher.cursor >= this.#trimmed) {
      const start = firstAfter(this.#recent, watcher.cursor);
      return this.#recent.slice(start, start + batchSize);
    }
    const revisions = this.#tables.revisions(watcher.cursor, this.#seen, batchSize, watcher.kind);
    // Asked afterwards: another process may have compacted while we read.
    if (watcher.cursor < this.#tables.compactedVersion()) {
      throw gone(`changes after version ${watcher.cursor} are no longer kept`);
    }
    if (revisions.length === 0) watcher.cursor = this.#seen;
    return revisions;
  }

  #wait(watcher: Watcher): Promise<void> {
    return new Promise((resolve) => {
      watcher.wake = () => {
        watcher.wake = undefined;
        resolve();
      };
    });
  }

  #lookForOthers(): void {
    try {
      const commits = this.#tables.foreignCommits();
      if (commits !== this.#foreignCommits) {
        this.#foreignCommits = commits;
        this.#catchUp();
        this.#onForeignCommit();
      }
    } catch (thrown) {
      if (isBusy(thrown)) {
        // Looked again at the next tick.
        this.#foreignCommits = -1;
        return;
      }
      this.#fail(thrown);
    }
    if (performance.now() < this.#bookmarksAt) return;
    this.#bookmarksAt = performance.now() + bookmarkMs;
    for (const watcher of this.#watchers) {
      watcher.bookmarkDue = true;
      watcher.wake?.();
    }
  }

  /** Ends all watches with an error: they may begin again when the store is well. */
  #fail(thrown: unknown): void {
    const error = toStoreError(thrown, this.#tables.connection.path);
    for (const watcher of this.#watchers) end(watcher, error);
  }

  #catchUp(): void {
    this.#readUpTo(this.#tables.currentVersion());
  }

  /** Takes in what others committed. A process that stood still for long may find parts of it compacted by them. */
  #readUpTo(version: number): void {
    const start = this.#seen;
    while (this.#seen < version) {
      const revisions = this.#tables.revisions(this.#seen, version, batchSize);
      if (revisions.length === 0) this.#seen = version;
      this.#take(revisions);
    }
    // Asked afterwards: they may have compacted while we read.
    if (start >= this.#tables.compactedVersion()) return;
    for (const watcher of this.#watchers)
      end(watcher, gone(`changes after version ${start} are no longer kept`));
  }

  /** Appends changes that follow `#seen` and wakes whom they concern. */
  #take(revisions: readonly Revision[]): void {
    const last = revisions.at(-1);
    if (last === undefined) return;
    const touched = new Set<Kind>();
    for (const revision of revisions) {
      this.#recent.push(revision);
      this.#recentSize += revision.size;
      touched.add(revision.kind);
    }
    this.#seen = last.rv;
    for (const watcher of this.#watchers) {
      if (watcher.wake === undefined) continue;
      if (touched.has(watcher.kind)) watcher.wake();
      else watcher.cursor = this.#seen;
    }
    this.#trim();
  }

  /** Drops what every watcher that reads here has taken: what lives on for nobody costs more than all the rest. */
  #trim(): void {
    let taken = this.#seen;
    for (const { cursor } of this.#watchers) if (cursor >= this.#trimmed) taken = Math.min(taken, cursor);
    const isTooMuch = this.#recent.length > maxRecent || this.#recentSize > maxRecentSize;
    // Half at a time, so that the cost of moving the rest up is shared by many changes.
    const half = isTooMuch ? Math.ceil(this.#recent.length / 2) : 0;
    const gone = this.#recent.splice(0, Math.max(firstAfter(this.#recent, taken), half));
    for (const revision of gone) this.#recentSize -= revision.size;
    this.#trimmed = gone.at(-1)?.rv ?? this.#trimmed;
  }
}

function end(watcher: Watcher, failure: Error | undefined): void {
  watcher.ended = true;
  watcher.failure ??= failure;
  watcher.wake?.();
}

/** Index of the first revision after a version. */
function firstAfter(revisions: readonly Revision[], version: number): number {
  let low = 0;
  let high = revisions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((revisions[middle]?.rv ?? 0) <= version) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What a change means to a watcher; undefined when nothing. */
function toEvent(revision: Revision, query: WatchQuery): FileEvent | undefined {
  if (revision.kind !== query.kind) return undefined;
  if (query.namespace !== undefined && revision.namespace !== query.namespace) return undefined;
  if (query.selector.length === 0) {
    const type = ({ A: 'ADDED', M: 'MODIFIED', D: 'DELETED' } as const)[revision.type];
    return { type, state: revision.state };
  }
  const { before } = revision;
  const matched = before !== undefined && matchesLabels(query.selector, before.resource.metadata.labels);
  const matches =
    revision.type !== 'D' && matchesLabels(query.selector, revision.state.resource.metadata.labels);
  if (matches) return { type: matched ? 'MODIFIED' : 'ADDED', state: revision.state };
  if (!matched) return undefined;
  // As Kubernetes does: what left the selection is shown as it last was in it, with the version of the change.
  return { type: 'DELETED', state: new State(revision.rv, before.json) };
}
