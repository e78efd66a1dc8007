import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEvent } from '../../../src/store/kubernetes/watch-events.ts';
import { readLines } from '../../../src/store/kubernetes/watch-lines.ts';
import { decodeResource, encodeResource } from '../../../src/store/kubernetes/wire.ts';
import { refused } from '../contract.ts';

const metadata = {
  name: 'a',
  namespace: 'n',
  uid: 'u',
  resourceVersion: '7',
  creationTimestamp: '2026-01-02T03:04:05Z',
};

const decodeTask = (sent: unknown) => decodeResource('Task', sent);

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const size of sizes) {
    yield bytes.subarray(start, start + size);
    start += size;
  }
  yield bytes.subarray(start);
}

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const read: string[] = [];
  for await (const line of lines) read.push(line);
  return read;
}

describe('the lines of a watch', () => {
  test('are the same however the bytes are cut', async () => {
    const text = fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', ''));
    await fc.assert(
      fc.asyncProperty(fc.array(text), fc.array(fc.nat(9)), async (lines, sizes) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const read = await all(readLines(chunksOf(bytes, sizes)));
        expect(read).toEqual(lines.filter((line) => line !== ''));
      }),
      { numRuns: 100 },
    );
  });

  test('without an end are left out: the connection was cut', async () => {
    expect(await all(readLines(chunksOf(Buffer.from('{}\n{"typ'), [4])))).toEqual(['{}']);
  });

  test('without end are refused', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(1_000_000, 'x');
    }
    const error = await refused('Unavailable', readLines(endless()).next());
    expect(error.message).toMatch(/longer than 16777216 bytes/);
  });
});

describe('the events of a watch', () => {
  const event = (type: string, object: unknown): string => JSON.stringify({ type, object });

  test('carry the resource, or the version that was reached', () => {
    const added = decodeEvent(event('ADDED', { metadata, spec: {} }), decodeTask, 'K');
    expect(added).toMatchObject({ type: 'ADDED', resource: { kind: 'Task', metadata } });
    const bookmark = event('BOOKMARK', { kind: 'Task', metadata: { resourceVersion: '9' } });
    expect(decodeEvent(bookmark, decodeTask, 'K')).toEqual({ type: 'BOOKMARK', resourceVersion: '9' });
  });

  test.each([
    ['not JSON', 'Unavailable'],
    ['7', 'Unavailable'],
    [event('DANCED', {}), 'Unavailable'],
    [event('BOOKMARK', {}), 'Unavailable'],
    [event('ADDED', { metadata: { name: 'a' } }), 'Unavailable'],
    [event('ERROR', { kind: 'Status', code: 410, message: 'too old resource version: 1 (9)' }), 'Gone'],
  ])('%s is %s', async (line, code) => {
    await refused(code as 'Gone', (async () => decodeEvent(line, decodeTask, 'K'))());
  });
});

describe('a resource', () => {
  test("comes in the version that Telos writes, frozen, without the API server's book-keeping", () => {
    const sent = {
      apiVersion: 'kelos.dev/v1alpha1',
      kind: 'Task',
      metadata: { ...metadata, managedFields: [{ manager: 'x' }], selfLink: '/x' },
      spec: { type: 'command' },
    };
    const task = decodeResource('Task', sent);
    expect(task).toEqual({
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata,
      spec: { type: 'command' },
    });
    expect(Object.isFrozen(task.metadata)).toBe(true);
    // Items of a list of Secrets do not say what they are.
    expect(decodeResource('Secret', { metadata })).toMatchObject({ apiVersion: 'v1', kind: 'Secret' });
  });

  test('goes in the version that is served, and so do its owners of the same group', () => {
    const owner = { apiVersion: 'kelos.dev/v1alpha2', kind: 'TaskSpawner', name: 's', uid: 'u' };
    const stranger = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd', uid: 'v' };
    const task = {
      apiVersion: 'kelos.dev/v1alpha2',
      kind: 'Task',
      metadata: { name: 'a', ownerReferences: [owner, stranger] },
    };
    expect(encodeResource('Task', task, 'kelos.dev/v1alpha1')).toEqual({
      apiVersion: 'kelos.dev/v1alpha1',
      kind: 'Task',
      metadata: { name: 'a', ownerReferences: [{ ...owner, apiVersion: 'kelos.dev/v1alpha1' }, stranger] },
    });
    const patch = { metadata: { labels: null } };
    expect(encodeResource('Task', patch, 'kelos.dev/v1alpha1')).toEqual(patch);
  });
});
