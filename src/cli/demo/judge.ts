import type { Delivery } from '../../api/delivery.ts';
import { terminalPhase } from '../../api/task.ts';
import type { Ledger } from './ledger.ts';
import { demoConcurrency } from './manifest.ts';
import type { Receiver } from './receivers.ts';

/** One thing that the demo promises, and whether it was seen to happen. */
export interface Finding {
  readonly promise: string;
  readonly seen: boolean;
  readonly detail: string;
}

export interface Seen {
  readonly ledger: Ledger;
  readonly events: number;
  readonly audit: Receiver;
  readonly pager: Receiver;
}

/** Holds what was seen against what the demo promises. */
export function judge(seen: Seen): readonly Finding[] {
  const { ledger, events, audit, pager } = seen;
  const tasks = [...ledger.tasks.values()];
  const ended = tasks.filter((task) => terminalPhase(task) !== undefined);
  const failed = ended.filter((task) => terminalPhase(task) === 'Failed');
  const reported = ended.filter((task) => Object.keys(task.status?.results ?? {}).length > 0);
  return [
    finding('every event became a Task that ended', ended.length === events, `${ended.length} of ${events}`),
    finding(
      `at most ${demoConcurrency} ran at once`,
      ledger.mostRunning > 0 && ledger.mostRunning <= demoConcurrency,
      `${ledger.mostRunning} at the most`,
    ),
    finding('their results were collected', reported.length === events, `${reported.length} of ${events}`),
    finding(
      'a program that exits non-zero fails its Task',
      failed.length > 0,
      failed[0]?.status?.message ?? 'none failed',
    ),
    auditFinding(deliveriesOf(ledger, 'audit'), audit, events),
    pagerFinding(deliveriesOf(ledger, 'pager'), pager, failed.length),
    metadataFinding(deliveriesOf(ledger, 'metadata'), events),
  ];
}

function auditFinding(deliveries: readonly Delivery[], audit: Receiver, events: number): Finding {
  const delivered = deliveries.filter((delivery) => delivery.status?.phase === 'Delivered').length;
  const heard = new Set(audit.arrivals.map((arrival) => arrival.webhookId)).size;
  return finding(
    'the hook for both phases heard of each Task',
    delivered === events && heard === events,
    `${heard} of ${events}`,
  );
}

function pagerFinding(deliveries: readonly Delivery[], pager: Receiver, failed: number): Finding {
  const delivered = deliveries.filter((delivery) => delivery.status?.phase === 'Delivered').length;
  const refused = pager.arrivals.find((arrival) => arrival.answered === 503);
  const again = pager.arrivals.find(
    (arrival) => arrival.answered === 204 && arrival.webhookId === refused?.webhookId,
  );
  return finding(
    'the hook for Failed was answered 503 first, tried again with the same webhook-id, and heard of each failure',
    delivered === failed && refused !== undefined && again !== undefined,
    refused === undefined
      ? 'no 503 was answered'
      : `${refused.webhookId}: 503, then ${again?.answered ?? 'nothing'} on attempt ${again?.attempt ?? '-'}`,
  );
}

function metadataFinding(deliveries: readonly Delivery[], events: number): Finding {
  const blocked = deliveries.filter(
    ({ status }) => status?.phase === 'Failed' && status.reason === 'Blocked',
  );
  return finding(
    'the hook aimed at a cloud metadata address was refused, and says why',
    blocked.length === events,
    blocked[0]?.status?.message ?? 'none was refused',
  );
}

function finding(promise: string, seen: boolean, detail: string): Finding {
  return { promise, seen, detail };
}

function deliveriesOf(ledger: Ledger, hook: string): readonly Delivery[] {
  return [...ledger.deliveries.values()].filter((delivery) => delivery.spec.hook.name === hook);
}
