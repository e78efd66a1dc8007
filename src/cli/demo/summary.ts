import { styleText } from 'node:util';
import { escapeControls } from '../../base/text.ts';
import type { Finding, Seen } from './judge.ts';

/** The demo's last words: what was counted, how quick it was, and whether each promise was kept. */
export function summarize(seen: Seen, findings: readonly Finding[], color: boolean): string {
  const { ledger } = seen;
  const deliveries = [...ledger.deliveries.values()];
  const attempts = deliveries.reduce((sum, delivery) => sum + (delivery.status?.attemptCount ?? 0), 0);
  const waits = phaseToPostMs(seen).sort((a, b) => a - b);
  const lines = [
    `Tasks:      ${countBy([...ledger.tasks.values()].map((task) => task.status?.phase ?? 'Pending'))}`,
    `Deliveries: ${countBy(deliveries.map((delivery) => delivery.status?.phase ?? 'Pending'))}; ${attempts} attempts`,
    `Phase to POST: p50 ${quantile(waits, 0.5)} ms, p99 ${quantile(waits, 0.99)} ms`,
    '',
    ...findings.map((finding) => findingLine(finding, color)),
  ];
  return `${lines.join('\n')}\n`;
}

function findingLine({ promise, seen, detail }: Finding, color: boolean): string {
  const mark = seen ? '✔' : '✘';
  const styled = color ? styleText(seen ? 'green' : 'red', mark) : mark;
  return `${styled} ${promise} (${escapeControls(detail)})`;
}

/** From the moment a Task was seen to have ended to the arrival of its first POST at the audit receiver. */
function phaseToPostMs({ ledger, audit }: Seen): number[] {
  return audit.arrivals
    .filter((arrival) => arrival.attempt === 1)
    .map((arrival) => Math.max(0, arrival.at - (ledger.endedAt.get(arrival.payload.task) ?? arrival.at)));
}

function quantile(sorted: readonly number[], share: number): string {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return value === undefined ? '-' : value.toFixed(1);
}

function countBy(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} ${word}`).join(', ') || 'none';
}
