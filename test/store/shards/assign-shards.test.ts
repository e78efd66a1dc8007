import { expect, test } from 'vitest';
import { assignShards, shardOf } from '../../../src/store/shards/assign-shards.ts';

test('every namespace has a shard, and each shard about as many', () => {
  const counts = Array.from({ length: 8 }, () => 0);
  for (let index = 0; index < 8_000; index += 1) {
    const shard = shardOf(`team-${index}`, 8);
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(850);
  expect(shardOf('anything', 1)).toBe(0);
});

test('the shard of a namespace is the same in every version', () => {
  expect(['default', 'team-a', 'team-b'].map((name) => shardOf(name, 16))).toMatchInlineSnapshot(`
    [
      1,
      12,
      10,
    ]
  `);
});

test('members have the same number of shards, give or take one, in whatever order they are named', () => {
  for (let shards = 1; shards <= 16; shards += 1) {
    for (let count = 1; count <= 7; count += 1) {
      const members = Array.from({ length: count }, (_, index) => `replica-${index}`);
      const assigned = assignShards(shards, members);
      const loads = members.map((member) => assigned.filter((owner) => owner === member).length);
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      expect(assignShards(shards, members.reverse())).toEqual(assigned);
    }
  }
  expect(assignShards(2, [])).toEqual([undefined, undefined]);
});

test('few shards move when a member goes', () => {
  const members = ['a', 'b', 'c', 'd'];
  const before = assignShards(16, members);
  const after = assignShards(16, members.slice(0, 3));
  const moved = before.filter((owner, shard) => owner !== 'd' && owner !== after[shard]);
  expect(moved.length).toBeLessThanOrEqual(6);
});
