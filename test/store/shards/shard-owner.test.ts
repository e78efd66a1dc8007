import { describe, expect, it } from 'vitest';
import type { Lease } from '../../../src/store/shards/lease.ts';
import { LeaseWorld, type Replica, randomOf } from './lease-world.ts';

const shards = 4;

/** Who believes to hold each shard: of those that run, for one that stands still does nothing. */
function believers(replicas: readonly Replica[]): string[][] {
  const found: string[][] = Array.from({ length: shards }, () => []);
  for (const [index, replica] of replicas.entries()) {
    if (!replica.isAwake) continue;
    for (const shard of replica.owner.held) found[shard]?.push(`r${index}`);
  }
  return found;
}

function heldBy(replicas: readonly Replica[]): number[] {
  return replicas.map(({ owner, isAwake }) => (isAwake ? owner.held.length : 0));
}

function startWorld(count: number, seed = 1): { world: LeaseWorld; replicas: Replica[] } {
  const world = new LeaseWorld();
  const random = randomOf(seed);
  const replicas = Array.from({ length: count }, (_, index) =>
    world.join({
      self: `r${index}`,
      shards,
      random,
      skewMs: (random() - 0.5) * 7_200_000,
      drift: (random() - 0.5) / 50,
    }),
  );
  return { world, replicas };
}

describe('replicas that share shards', () => {
  it('hold the same number each, and all shards together', async () => {
    const { world, replicas } = startWorld(2);
    await world.pass(15_000);
    expect(heldBy(replicas)).toEqual([2, 2]);
    expect(believers(replicas).map(({ length }) => length)).toEqual([1, 1, 1, 1]);
  });

  it('hand over within two seconds when one ends as planned', async () => {
    const { world, replicas } = startWorld(2);
    await world.pass(15_000);
    replicas[0]?.stop();
    await world.pass(2_000);
    expect(heldBy(replicas)).toEqual([0, shards]);
    await replicas[0]?.ended;
    expect([...world.leases.keys()]).not.toContain('telos-member-r0');
  });

  it('take over within 15 seconds when one is killed, and not before its Leases ran out', async () => {
    const { world, replicas } = startWorld(2);
    await world.pass(15_000);
    const [first, second] = replicas;
    if (first !== undefined) first.isDead = true;
    await world.pass(7_000);
    expect(second?.owner.held.length).toBe(2);
    await world.pass(8_000);
    expect(second?.owner.held.length).toBe(shards);
  });

  it('give a shard up before others may take it when Leases can no longer be written', async () => {
    const { world, replicas } = startWorld(2);
    await world.pass(15_000);
    const [first] = replicas;
    if (first !== undefined) first.isCutOff = true;
    await world.pass(7_500);
    expect(heldBy(replicas)).toEqual([0, 2]);
    await world.pass(7_500);
    expect(heldBy(replicas)).toEqual([0, shards]);
  });

  it.each([
    ['deletes', (world: LeaseWorld, { name }: Lease) => world.remove(name)],
    ['empties', (world: LeaseWorld, lease: Lease) => void world.write({ ...lease, holder: undefined })],
  ])('are not two at one shard when somebody %s all Leases', async (_what, edit) => {
    const { world, replicas } = startWorld(3);
    await world.pass(15_000);
    const alone = (): void =>
      expect(Math.max(...believers(replicas).map((by) => by.length))).toBeLessThanOrEqual(1);
    // One is cut off, so that it cannot know.
    const [first] = replicas;
    if (first !== undefined) first.isCutOff = true;
    for (const lease of world.leases.values()) edit(world, lease);
    await world.pass(6_000, alone);
    if (first !== undefined) first.isCutOff = false;
    await world.pass(30_000, alone);
    expect(believers(replicas).map(({ length }) => length)).toEqual([1, 1, 1, 1]);
  });

  it('know that a shard is lost in the very moment in which they wake', async () => {
    const { world, replicas } = startWorld(2);
    await world.pass(15_000);
    const [first] = replicas;
    if (first === undefined) throw new Error('there are two');
    first.isFrozen = true;
    await world.pass(20_000);
    first.isFrozen = false;
    // Nothing of it has run yet: neither a timer nor an answer.
    expect(first.owner.held).toEqual([]);
    await world.pass(30_000, () => expect(Math.max(...believers(replicas).map((by) => by.length))).toBe(1));
    expect(heldBy(replicas)).toEqual([2, 2]);
  });

  it('refuse another number of shards, and say what to do', async () => {
    const { world } = startWorld(1);
    await world.pass(1_000);
    const other = world.join({ self: 'other', shards: 2, random: randomOf(2) });
    await world.pass(1_000);
    await expect(other.ended).rejects.toThrow(
      'this installation divides its work into 4 shards, not 2: start with --shards 4, or stop all replicas and delete Lease telos-shards first',
    );
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'are never two at one shard, whatever clocks, stalls and outages do (seed %i)',
    async (seed) => {
      const { world, replicas } = startWorld(3, seed);
      const random = randomOf(seed * 7919);
      const alone = (): void => {
        const most = Math.max(...believers(replicas).map((by) => by.length));
        if (most > 1) throw new Error(`two at one shard at ${world.now} ms`);
      };
      for (let round = 0; round < 25; round += 1) {
        const replica = replicas[Math.floor(random() * replicas.length)];
        if (replica === undefined) continue;
        const trouble = random() < 0.5 ? 'isFrozen' : 'isCutOff';
        replica[trouble] = !replica[trouble];
        await world.pass(random() * 8_000, alone);
      }
      for (const replica of replicas) Object.assign(replica, { isFrozen: false, isCutOff: false });
      await world.pass(30_000, alone);
      expect(heldBy(replicas).reduce((sum, held) => sum + held)).toBe(shards);
      expect(Math.max(...heldBy(replicas))).toBe(2);
    },
  );
});
