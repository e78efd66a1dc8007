import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dnsSubdomain } from '../../src/api/meta.ts';
import { nameFromText, taskName } from '../../src/spawn/task-name.ts';

const hash12 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Names that a TaskSpawner may have, also long ones. */
const spawnerName = fc.stringMatching(
  /^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?){0,3}$/,
);

describe('the name of a Task', () => {
  test('of a tick is the spawner and the tick', () => {
    expect(taskName('nightly', { kind: 'id', id: '20260102-0304' })).toBe('nightly-20260102-0304');
  });

  test('of a delivery ends in twelve hex digits of the SHA-256 of its id', () => {
    expect(taskName('ci', { kind: 'delivery', event: 'pull_request', deliveryId: 'abc' })).toBe(
      `ci-pull-request-${hash12('abc')}`,
    );
  });

  test('of an issue key is lower case', () => {
    expect(taskName('s', { kind: 'id', id: 'ENG-42' })).toBe('s-eng-42');
  });

  test('that is too long keeps every digit of the hash and of the tick', () => {
    const long = 'a'.repeat(80);
    expect(taskName(long, { kind: 'delivery', event: 'push', deliveryId: 'x' })).toMatch(
      new RegExp(`-${hash12('x')}$`),
    );
    expect(taskName(long, { kind: 'id', id: '20260102-0304' })).toMatch(/-20260102-0304$/);
  });

  test('tells TaskSpawners apart whose long names begin alike', () => {
    const item = { kind: 'delivery', event: 'push', deliveryId: 'x' } as const;
    expect(taskName(`${'a'.repeat(60)}1`, item)).not.toBe(taskName(`${'a'.repeat(60)}2`, item));
  });

  test('is always a DNS-1123 name of at most 63 characters', () => {
    fc.assert(
      fc.property(spawnerName, fc.string(), fc.string(), (spawner, event, deliveryId) => {
        for (const item of [
          { kind: 'delivery', event, deliveryId },
          { kind: 'id', id: deliveryId },
        ] as const) {
          const name = taskName(spawner, item);
          expect(name.length).toBeLessThanOrEqual(63);
          expect(name).toMatch(dnsSubdomain);
        }
      }),
    );
  });

  test('differs for different deliveries', () => {
    fc.assert(
      fc.property(
        spawnerName,
        fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 20 }),
        (spawner, ids) => {
          const names = ids.map((deliveryId) =>
            taskName(spawner, { kind: 'delivery', event: 'e', deliveryId }),
          );
          expect(new Set(names).size).toBe(ids.length);
        },
      ),
    );
  });
});

describe('a rendered nameTemplate', () => {
  test('is lower-cased, and what no name may hold becomes a dash', () => {
    expect(nameFromText('Fix: Über/bug #7')).toBe('fix---ber-bug--7');
  });

  test('loses dashes at the edges of its dot-separated labels, and empty labels', () => {
    expect(nameFromText('-a-..-b-.')).toBe('a.b');
  });

  test('of which nothing is left is no name', () => {
    expect(nameFromText('???')).toBeUndefined();
  });

  test('is a DNS-1123 name of at most 63 characters or none', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        const name = nameFromText(text);
        if (name === undefined) return;
        expect(name.length).toBeLessThanOrEqual(63);
        expect(name).toMatch(dnsSubdomain);
      }),
    );
  });
});
