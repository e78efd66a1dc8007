import { StoreError } from '../errors.ts';

/** A line is one event; an object of etcd is at most 1.5 MB, and its JSON can be a few times that. */
const maxLineBytes = 16 * 1024 * 1024;

const newline = 0x0a;

/**
 * Cuts a stream of bytes into its lines, without their ends; empty ones and a last one without an end (cut off) are
 * left out. @throws StoreError `Unavailable` when a line is longer than 16 MiB
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  let begun: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      begun.push(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(begun).toString('utf8');
      begun = [];
      size = 0;
      if (line !== '') yield line;
    }
    if (start === chunk.length) continue;
    begun.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > maxLineBytes) {
      throw new StoreError(
        'Unavailable',
        `a watch event is longer than ${maxLineBytes} bytes: make the resource smaller`,
      );
    }
  }
}
