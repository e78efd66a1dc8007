import { createHash } from 'node:crypto';

/** The shard that a namespace belongs to: the same on every replica, in every version. */
export function shardOf(namespace: string, shards: number): number {
  return shards === 1 ? 0 : hashOf(namespace) % shards;
}

/**
 * Who should hold each shard: each member the same number, give or take one, and few shards move when a member comes
 * or goes (rendezvous hashing with a bound). Every replica that sees the same members comes to the same result.
 */
export function assignShards(shards: number, members: Iterable<string>): readonly (string | undefined)[] {
  const all = [...new Set(members)].sort();
  const load = new Map<string, number>(all.map((member) => [member, 0]));
  const least = Math.floor(shards / all.length);
  let extras = shards % all.length;
  const assigned: (string | undefined)[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    const wishes = all
      .map((member) => ({ member, score: hashOf(`${shard}/${member}`) }))
      .sort((a, b) => b.score - a.score);
    const taker = wishes.find(({ member }) => (load.get(member) ?? 0) < least + (extras > 0 ? 1 : 0));
    if (taker !== undefined) {
      const now = (load.get(taker.member) ?? 0) + 1;
      load.set(taker.member, now);
      if (now > least) extras -= 1;
    }
    assigned.push(taker?.member);
  }
  return assigned;
}

/** 32 bits that depend on all of the text. */
function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0);
}
