import type { Delivery } from '../src/api/delivery.ts';
import type { Arrival } from './ledger.ts';
import type { TortureResult } from './torture.ts';

/** More than so many faults are only counted. */
const shownFaults = 50;

/** The table at the end, and every fault by name. `seconds`: how long it took. */
export function summarize(
  { evidence, faults, kills, strikes, trouble }: TortureResult,
  seconds: number,
): string {
  const { written, deliveries, arrivals } = evidence;
  const countsOf = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${what} ${count}`)
      .join(', ');
  const runs = written.flatMap((task) => task.runs);
  const successes = arrivals.filter(isSuccess);
  const countOf = (kind: string): number => faults.filter((fault) => fault.kind === kind).length;
  const rows: [string, string | number][] = [
    ['kills', `${sum(Object.values(kills))} (at: ${countsOf(kills)})`],
    ['  by signal', countsOf(strikes)],
    ...Object.entries(trouble),
    ['Tasks', `${written.length}, ended ${runs.length} times, ${written.filter(isDeleted).length} deleted`],
    ['Deliveries', deliveries.length],
    ...countEnds(deliveries),
    ['POSTs received', arrivals.length],
    ['answered 2xx', successes.length],
    ['duplicates (same webhook-id, same body)', successes.length - countIds(successes)],
    ['lost', countOf('lost')],
    ['unsettled', countOf('unsettled')],
    ['two attempts at once', countOf('at once')],
    ['other faults', faults.length - countOf('lost') - countOf('unsettled') - countOf('at once')],
    ['seconds', seconds.toFixed(0)],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  const table = rows.map(([what, value]) => `${what.padEnd(width)}  ${value}`);
  const named = faults
    .slice(0, shownFaults)
    .map(({ kind, subject, message }) => `${kind}: ${subject}: ${message}`);
  const more = faults.length - named.length;
  return [...table, '', ...named, ...(more > 0 ? [`and ${more} more`] : [])].join('\n').trimEnd();
}

/** How many ended as what, the most frequent first. */
function countEnds(deliveries: readonly Delivery[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { status } of deliveries) {
    const end =
      status?.phase === 'Delivered' ? 'Delivered' : `${status?.phase ?? 'Pending'}, ${status?.reason}`;
    counts.set(end, (counts.get(end) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([end, count]) => [`  ${end}`, count]);
}

function isSuccess({ answer }: Arrival): boolean {
  return typeof answer === 'object' && answer.status < 300;
}

function isDeleted({ deleted }: { readonly deleted: boolean }): boolean {
  return deleted;
}

function countIds(arrivals: readonly Arrival[]): number {
  return new Set(arrivals.map(({ webhookId }) => webhookId)).size;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
