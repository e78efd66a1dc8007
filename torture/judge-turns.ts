import { shardOf } from '../src/store/shards/assign-shards.ts';
import type { EngineLife } from './engine-life.ts';
import { groupBy } from './group-by.ts';
import type { Evidence, Fault } from './judge.ts';
import type { Arrival } from './ledger.ts';

/** How late a line of an engine's log, or the head of a request, may be read here. Real milliseconds. */
const lagMs = 100;

/**
 * Who may begin an attempt, and when. All is judged by what receivers saw, by when engines were made to stand still,
 * and by when they said that they take a shard; nothing by their clocks.
 *
 * J1. No attempt at a message begins while another one is under way: from when its head came to the receiver until it
 *     is answered, or its connection is closed, which is at the latest when its engine's process ends. One exception:
 *     nobody can call back what an engine has sent that then stands still. For the others such an attempt ends when
 *     its engine is stopped; for the engine itself it does not.
 * J2. Attempts at a message are numbered in the order in which they come: a number is used up when it is written, and
 *     whoever begins an attempt has read what was written.
 * J3. One engine answers for an attempt once: it makes one that was answered again only after it took the shard anew.
 * J4. Between two engines that begin attempts in the same shard the second takes the shard. So one that stood still,
 *     or was cut off, begins nothing under its old tenure once another has begun something.
 */
export function judgeTurns({ arrivals, deliveries, engines, shards }: Evidence): Fault[] {
  const byId = new Map(deliveries.map((delivery) => [delivery.spec.id, delivery]));
  const shardOfMessage = (id: string): number | undefined => {
    const namespace = byId.get(id)?.metadata.namespace;
    return shards === undefined || namespace === undefined ? undefined : shardOf(namespace, shards);
  };
  const lives = new Map(engines.map((life) => [life.number, life]));
  const inOrder = [...arrivals].sort((a, b) => a.stay.from - b.stay.from);
  const faults: Fault[] = [];
  for (const [id, same] of groupBy(inOrder, ({ webhookId }) => webhookId)) {
    const subject = `webhook-id ${id} (Task ${same[0]?.about.task}, hook ${same[0]?.role})`;
    const shard = shardOfMessage(id);
    faults.push(
      ...judgeOverlaps(subject, same, lives),
      ...judgeOrder(subject, same),
      ...judgeRepeats(subject, same, (before, again) => takesBetween(before, again, shard, lives)),
    );
  }
  for (const [shard, ofShard] of groupBy(inOrder, ({ webhookId }) => shardOfMessage(webhookId)))
    if (shard !== undefined) faults.push(...judgeHolders(shard, ofShard, lives));
  return faults;
}

type Lives = ReadonlyMap<number, EngineLife>;

/** J1. */
function judgeOverlaps(subject: string, inOrder: readonly Arrival[], lives: Lives): Fault[] {
  return inOrder.flatMap((later, n) =>
    inOrder
      .slice(0, n)
      .filter((earlier) => later.stay.from < endOf(earlier, later.engine, lives))
      .map((earlier) => ({
        kind: 'at once' as const,
        subject,
        message: `${nameOf(later)} began while ${nameOf(earlier)} was under way`,
      })),
  );
}

/** When an attempt was over, as far as an engine can know. */
function endOf({ engine, stay }: Arrival, forEngine: number, lives: Lives): number {
  const end = stay.to ?? Number.POSITIVE_INFINITY;
  if (engine === forEngine) return end;
  const frozen = lives.get(engine)?.frozen.find(({ to }) => to > stay.from);
  return Math.min(end, frozen?.from ?? end);
}

/** J2. */
function judgeOrder(subject: string, inOrder: readonly Arrival[]): Fault[] {
  return pairsOf(inOrder)
    .filter(([before, after]) => after.attempt < before.attempt)
    .map(([before, after]) => ({
      kind: 'out of turn',
      subject,
      message: `${nameOf(after)} came after ${nameOf(before)}`,
    }));
}

/** J3. */
function judgeRepeats(
  subject: string,
  inOrder: readonly Arrival[],
  mayRepeat: (before: Arrival, again: Arrival) => boolean,
): Fault[] {
  const answered = inOrder.filter(({ answer }) => typeof answer === 'object' && !answer.broken);
  return [...groupBy(answered, nameOf)].flatMap(([what, same]) =>
    pairsOf(same)
      .filter(([before, again]) => !mayRepeat(before, again))
      .map(() => ({ kind: 'duplicate', subject, message: `${what} was answered, and made again` })),
  );
}

/** J4. */
function judgeHolders(shard: number, inOrder: readonly Arrival[], lives: Lives): Fault[] {
  return pairsOf(inOrder)
    .filter(([before, after]) => before.engine !== after.engine)
    .filter(([before, after]) => !takesBetween(before, after, shard, lives))
    .map(([before, after]) => ({
      kind: 'out of turn',
      subject: `shard ${shard}`,
      message: `${nameOf(after)} at ${after.webhookId} came after ${nameOf(before)} at ${before.webhookId}, and it had not taken the shard since`,
    }));
}

/** Whether the engine of the second attempt took the shard since the first. Without shards nobody takes any. */
function takesBetween(first: Arrival, second: Arrival, shard: number | undefined, lives: Lives): boolean {
  const takes = lives.get(second.engine)?.takes ?? [];
  return takes.some(
    (take) => take.shard === shard && take.at > first.stay.from - lagMs && take.at < second.stay.from + lagMs,
  );
}

function nameOf({ attempt, engine }: Arrival): string {
  return `attempt ${attempt} by engine ${engine}`;
}

function pairsOf<Item>(items: readonly Item[]): (readonly [Item, Item])[] {
  return items.slice(1).map((item, n) => [items[n] ?? item, item] as const);
}
