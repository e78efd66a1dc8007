import { toError } from '../../base/errors.ts';
import { StoreError } from '../errors.ts';
import { invalidFaults } from '../refusals.ts';
import { type Key, keyText } from '../store.ts';
import { type Query, withQuery } from './query.ts';
import { refusedResource } from './status-errors.ts';
import type { ApiRequest, Transport } from './transport.ts';

export interface LogRequest {
  readonly container: string;
  /** Lines at the end that are asked for. */
  readonly tailLines: number;
  /** Bytes at their end that are kept, while they pass by. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * The end of what a container has printed; what is not UTF-8 shows as U+FFFD.
 * @throws StoreError `NotFound` when there is no such Pod, `Invalid` when the container has not begun, `Unavailable`
 * when its node does not answer or the connection breaks
 */
export async function readLog(
  transport: Transport,
  pod: Key,
  { container, tailLines, maxBytes, signal }: LogRequest,
): Promise<string> {
  const query = { container, tailLines: String(tailLines) };
  const chunks = await open(transport, pod, query, { signal });
  return lastBytes(whole(chunks, transport, pod, signal), maxBytes);
}

/**
 * All that a container has printed, each line with its time before it; with `follow`, what it prints from then on, too,
 * until it ends.
 * @throws as `readLog` does, while it is read, too
 */
export async function* copyLog(
  transport: Transport,
  pod: Key,
  {
    container,
    follow,
    sinceTime,
    signal,
  }: {
    readonly container: string;
    readonly follow: boolean;
    /** Leaves out what was printed before, by the clock of its node. */
    readonly sinceTime: string | undefined;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<Uint8Array, void> {
  const query = { container, follow: follow ? 'true' : undefined, timestamps: 'true', sinceTime };
  // A node may not answer before something is printed.
  const chunks = await open(transport, pod, query, { isPatient: follow, signal });
  yield* whole(chunks, transport, pod, signal);
}

async function open(
  transport: Transport,
  pod: Key,
  query: Query,
  how: Pick<ApiRequest, 'isPatient' | 'signal'>,
): Promise<AsyncIterable<Uint8Array>> {
  const place = `/api/v1/namespaces/${encodeURIComponent(pod.namespace)}/pods/${encodeURIComponent(pod.name)}/log`;
  const stream = await transport.stream({ method: 'GET', path: withQuery(place, query), ...how });
  if ('answer' in stream && stream.answer.status === 204)
    throw invalidFaults(`Pod ${keyText(pod)}`, [{ path: '', message: 'it has no node yet' }]);
  if ('answer' in stream) throw refusedResource(stream.answer, { kind: 'Pod', key: pod }, transport.name);
  return stream.chunks;
}

/** The same, with an error that says so when it breaks off. */
async function* whole(
  chunks: AsyncIterable<Uint8Array>,
  transport: Transport,
  pod: Key,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* chunks;
  } catch (thrown) {
    signal.throwIfAborted();
    const why = toError(thrown).message;
    throw new StoreError(
      'Unavailable',
      `${transport.name}: the log of Pod ${pod.name} broke off (${why}): try again`,
      { cause: thrown },
    );
  }
}

/** Memory is that of what is kept, and of one chunk. */
async function lastBytes(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const kept: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    kept.push(chunk);
    size += chunk.length;
    for (let first = kept[0]; first !== undefined && size - first.length >= maxBytes; first = kept[0]) {
      size -= first.length;
      kept.shift();
    }
  }
  const bytes = Buffer.concat(kept);
  return bytes.subarray(Math.max(0, bytes.length - maxBytes)).toString('utf8');
}
