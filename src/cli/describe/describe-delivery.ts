import { type Attempt, type Delivery, isSettled } from '../../api/delivery.ts';
import { formatDuration } from '../../base/duration.ts';
import { parseUrl } from '../../base/url.ts';
import { redeliverRequested } from '../../report/decide-delivery.ts';
import { age } from '../table.ts';
import type { Outline } from './outline.ts';

/** An attempt that is due longer than this waits for something. */
const noticeablyLateMs = 10_000;

/** What a Delivery has been through, attempt by attempt. */
export function describeDelivery(delivery: Delivery, outline: Outline, nowMs: number): void {
  const { spec, status = {} } = delivery;
  outline.fields([
    ['Webhook id', spec.id],
    ['Task', `${spec.task.name} (${spec.task.phase}${at(spec.task.completionTime)})`],
    ['Spawner', spec.task.spawner],
    ['Hook', spec.hook.name],
    ['Target', targetOf(delivery)],
    ['Phase', status.phase ?? 'Pending'],
    ['Reason', status.reason],
    ['Message', status.message],
    ['Next attempt', next(delivery, nowMs)],
    ['Settled', status.settledAt],
  ]);
  const { attempts = [], attemptCount = 0 } = status;
  const left = attemptCount - attempts.length;
  outline.section('Attempts', [
    ...(left > 0 ? [`${left} earlier ones are no longer kept`] : []),
    ...attempts.map((attempt) => attemptText(attempt)),
  ]);
}

/** One Delivery in one line, as a Task's story has it. */
export function deliveryLine(delivery: Delivery, nowMs: number): string {
  const { status = {} } = delivery;
  const { phase = 'Pending', attemptCount = 0, reason, message } = status;
  const tries =
    attemptCount === 0 ? 'no attempt yet' : attemptCount === 1 ? '1 attempt' : `${attemptCount} attempts`;
  const why = reason === undefined || reason === phase ? '' : `, ${reason}`;
  const soon = next(delivery, nowMs);
  const story = [
    message === undefined || message === '' ? '' : `: ${message}`,
    soon === undefined ? '' : `; next attempt ${soon}`,
  ];
  return `${delivery.spec.hook.name}: ${phase} (${tries}${why})${story.join('')} [${delivery.metadata.name}]`;
}

/** One attempt in words, its parts and the answer on lines of their own. */
export function attemptText(attempt: Attempt): string {
  const { number, reason, message, httpStatus, address, answer } = attempt;
  const status = httpStatus === undefined ? '' : ` with HTTP ${httpStatus}`;
  const where = address === undefined ? '' : ` by ${address}`;
  const outcome = reason === 'Delivered' ? `delivered${where}${status}` : `${reason}${where}${status}`;
  const detail = message === undefined || message === '' ? '' : `: ${message}`;
  const spent = times(attempt);
  return [
    `${number}. ${attempt.at}  ${outcome}${detail}`,
    ...(spent === '' ? [] : [`   took ${spent}`]),
    ...(answer === undefined || answer === '' ? [] : [`   answer: ${answer}`]),
  ].join('\n');
}

function times({ durationMs, dnsMs, connectMs, tlsMs, firstByteMs }: Attempt): string {
  if (durationMs === undefined) return '';
  const parts = [
    ['DNS', dnsMs],
    ['connect', connectMs],
    ['TLS', tlsMs],
    ['first byte', firstByteMs],
  ].flatMap(([name, ms]) => (ms === undefined ? [] : [`${String(name)} ${String(ms)} ms`]));
  return parts.length === 0 ? `${durationMs} ms` : `${durationMs} ms (${parts.join(', ')})`;
}

function next(delivery: Delivery, nowMs: number): string | undefined {
  if (redeliverRequested(delivery)) return 'now (asked for again)';
  if (isSettled(delivery)) return undefined;
  // Without a time the first attempt is due, since the Delivery was made.
  const dueAt = delivery.status?.nextAttemptAt ?? delivery.metadata.creationTimestamp;
  const lateMs = nowMs - Date.parse(dueAt);
  if (lateMs < 0) return `${age(dueAt, nowMs)} (${dueAt})`;
  if (lateMs < noticeablyLateMs) return `now (due ${dueAt})`;
  return `as soon as its origin may be sent to (due ${dueAt}, ${formatDuration(lateMs)} ago): an origin that failed 5 times in a row or asked for a pause is left alone for a while, or the engine is down`;
}

/** Where it goes, without the path: paths of chat URLs are credentials. */
function targetOf(delivery: Delivery): string | undefined {
  const { webhook } = delivery.spec.hook as {
    readonly webhook?: { readonly url?: unknown; readonly urlFrom?: unknown };
  };
  if (webhook?.urlFrom !== undefined) return 'the URL in a Secret';
  return originOf(webhook?.url);
}

/** The origin of a URL, the only part that may be shown. */
export function originOf(url: unknown): string | undefined {
  return typeof url === 'string' ? parseUrl(url)?.origin : undefined;
}

function at(time: string | undefined): string {
  return time === undefined ? '' : ` at ${time}`;
}
