import { toError } from '../../base/errors.ts';
import { StoreError } from '../errors.ts';
import type { Key } from '../store.ts';
import { withQuery } from './query.ts';
import { refusedResource } from './status-errors.ts';
import type { Transport } from './transport.ts';

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
  const place = `/api/v1/namespaces/${encodeURIComponent(pod.namespace)}/pods/${encodeURIComponent(pod.name)}/log`;
  const path = withQuery(place, { container, tailLines: String(tailLines) });
  const stream = await transport.stream({ method: 'GET', path, signal });
  if ('answer' in stream) throw refusedResource(stream.answer, { kind: 'Pod', key: pod }, transport.name);
  try {
    return await lastBytes(stream.chunks, maxBytes);
  } catch (thrown) {
    signal.throwIfAborted();
    const why = toError(thrown).message;
    throw new StoreError(
      'Unavailable',
      `${transport.name}: the log of Pod ${pod.name} broke off (${why}): try again`,
      {
        cause: thrown,
      },
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
