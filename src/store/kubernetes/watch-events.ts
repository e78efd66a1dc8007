import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import { StoreError } from '../errors.ts';
import type { Change } from '../store.ts';
import { watchError } from './status-errors.ts';
import type { ApiAnswer, Transport } from './transport.ts';
import { readLines } from './watch-lines.ts';

/** How long the API server is asked to keep a watch open, in seconds: spread, so that not all begin anew at once. */
const minWatchSeconds = 240;
const maxWatchSeconds = 480;
/** A watch that is still open so long after its time hangs. */
const graceMs = 30_000;
/** Bookmarks come about once a minute; where one has come, a longer silence than this is a dead connection. */
const bookmarkSilenceMs = 150_000;

export interface WatchSettings<R> {
  readonly transport: Transport;
  readonly clock: Clock;
  /** The path of the watch, with its query and these parameters. */
  readonly path: (query: Readonly<Record<string, string>>) => string;
  /** Ends the watch. */
  readonly ended: AbortController;
  /** Reads what the watch sends. */
  readonly decode: (sent: unknown) => R;
  /** The error that a refusal of the watch stands for. */
  readonly refused: (answer: ApiAnswer) => StoreError;
}

/**
 * The events of one watch, until it is ended: by us, by the server's clock, by a connection that broke or fell silent.
 * @throws StoreError `Gone` when the version is too old, `Unavailable` when the watch does not begin
 */
export async function* watchEvents<R>({
  transport,
  clock,
  path,
  ended,
  decode,
  refused,
}: WatchSettings<R>): AsyncGenerator<Change<R>, void> {
  const seconds = minWatchSeconds + Math.floor(Math.random() * (maxWatchSeconds - minWatchSeconds));
  const query = { watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(seconds) };
  const stream = await transport.stream({ method: 'GET', path: path(query), signal: ended.signal });
  if ('answer' in stream) throw refused(stream.answer);
  const silence = new SilenceTimer(clock, seconds * 1000 + graceMs, () => ended.abort());
  try {
    for await (const line of readLines(stream.chunks)) {
      const event = decodeEvent(line, decode, transport.name);
      silence.heard(event.type === 'BOOKMARK');
      yield event;
    }
  } catch (thrown) {
    // What was refused or cannot be read is told; a connection that breaks just ends the watch.
    if (thrown instanceof StoreError) throw thrown;
  } finally {
    silence.stop();
  }
}

/**
 * The changes that a generator of them yields, for a consumer that may stop at any time. `open` is given what ends the
 * watch; `signal` ends it, too.
 */
export function endableWatch<R>(
  signal: AbortSignal | undefined,
  open: (ended: AbortController) => AsyncGenerator<Change<R>, void>,
): AsyncIterable<Change<R>> {
  return {
    [Symbol.asyncIterator]: () => {
      const ended = new AbortController();
      const events = untilEnded(signal, ended, open);
      return {
        next: () => events.next(),
        return: () => {
          // A generator ends only between two events: wake it, should it be waiting for one.
          ended.abort();
          return events.return();
        },
      };
    },
  };
}

async function* untilEnded<R>(
  signal: AbortSignal | undefined,
  ended: AbortController,
  open: (ended: AbortController) => AsyncGenerator<Change<R>, void>,
): AsyncGenerator<Change<R>, void> {
  if (signal?.aborted) return;
  const end = (): void => ended.abort();
  signal?.addEventListener('abort', end, { once: true });
  try {
    yield* open(ended);
  } catch (thrown) {
    if (!ended.signal.aborted) throw thrown;
  } finally {
    ended.abort();
    signal?.removeEventListener('abort', end);
  }
}

const Line = z.object({ type: z.string(), object: z.unknown() });
const Bookmark = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/** Reads one line of a watch. @throws StoreError for an ERROR event, and for what is no event */
export function decodeEvent<R>(line: string, decode: (sent: unknown) => R, server: string): Change<R> {
  const { type, object } = parseLine(line, server);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, resource: decode(object) };
    case 'BOOKMARK': {
      const bookmark = Bookmark.safeParse(object);
      if (!bookmark.success) throw unreadable(server);
      return { type, resourceVersion: bookmark.data.metadata.resourceVersion };
    }
    case 'ERROR':
      throw watchError(object, server);
    default:
      throw unreadable(server);
  }
}

function parseLine(line: string, server: string): z.infer<typeof Line> {
  try {
    return Line.parse(JSON.parse(line));
  } catch (thrown) {
    throw unreadable(server, thrown);
  }
}

function unreadable(server: string, cause?: unknown): StoreError {
  return new StoreError('Unavailable', `${server}: a watch sent what is no event: check its URL`, { cause });
}

/** Ends a watch whose connection is dead without anybody having said so. */
class SilenceTimer {
  readonly #clock: Clock;
  readonly #end: () => void;
  readonly #deadline: number;
  #cancel: () => void;
  #hasBookmarks = false;

  constructor(clock: Clock, longestMs: number, end: () => void) {
    this.#clock = clock;
    this.#end = end;
    this.#deadline = clock.monotonic() + longestMs;
    this.#cancel = clock.after(longestMs, end);
  }

  /** Something came. */
  heard(isBookmark: boolean): void {
    this.#hasBookmarks ||= isBookmark;
    if (!this.#hasBookmarks) return;
    const leftMs = this.#deadline - this.#clock.monotonic();
    this.#cancel();
    this.#cancel = this.#clock.after(Math.min(leftMs, bookmarkSilenceMs), this.#end);
  }

  stop(): void {
    this.#cancel();
  }
}
