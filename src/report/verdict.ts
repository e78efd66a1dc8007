import { STATUS_CODES } from 'node:http';
import type { DeliveryReason } from '../api/delivery.ts';
import { formatDuration } from '../base/duration.ts';
import type { SendOutcome } from '../egress/guard.ts';
import { leastPauseMs, parseRetryAfter } from './schedule.ts';

/**
 * What an attempt says about the origin, whatever it means for the Delivery: it answers sensibly, it is in
 * trouble of its own, or nothing can be said.
 */
export type Health = 'well' | 'sick' | 'unknown';

/** What an attempt means for its Delivery. `message` is one line without secrets. */
export type Verdict =
  | { readonly kind: 'delivered'; readonly health: Health; readonly message: string }
  | {
      readonly kind: 'retry';
      readonly reason: DeliveryReason;
      readonly message: string;
      readonly health: Health;
      /** What the receiver asked to wait, in milliseconds. */
      readonly retryAfterMs?: number | undefined;
      /** The receiver asked that nothing be sent for a while: its whole origin is left alone. */
      readonly pausesOrigin?: boolean;
    }
  | {
      readonly kind: 'failed';
      readonly reason: DeliveryReason;
      readonly message: string;
      readonly health: Health;
    };

/** How long the origin of an attempt with this verdict is left alone, in milliseconds; 0 when it did not ask for it. */
export function pauseMsOf(verdict: Verdict): number {
  if (verdict.kind !== 'retry' || verdict.pausesOrigin !== true) return 0;
  return Math.max(verdict.retryAfterMs ?? 0, leastPauseMs);
}

/** Statuses after which the same bytes will not do better. */
const rejections: ReadonlySet<number> = new Set([400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505]);

/** The verdict on what came of a POST: the table of `docs/deliveries.md`. */
export function judge(outcome: SendOutcome, nowMs: number): Verdict {
  switch (outcome.kind) {
    case 'answered':
      return judgeAnswer(outcome.status, outcome.headers, nowMs);
    case 'refused':
      // A name gets repaired, and a Secret that gives a header; what is wrong with the text of a URL stays wrong.
      return {
        kind: outcome.stage === 'dns' || outcome.stage === 'header' ? 'retry' : 'failed',
        reason: outcome.stage === 'header' ? 'InvalidHeader' : 'Blocked',
        message: outcome.message,
        health: 'unknown',
      };
    case 'failed':
      return {
        kind: 'retry',
        reason: outcome.reason,
        message: outcome.message,
        health: outcome.reason === 'DNS' || outcome.reason === 'Proxy' ? 'unknown' : 'sick',
      };
  }
}

/** 501 and 505 speak of the request: they make no origin sick, and none well. */
function healthOf(status: number): Health {
  if (status === 501 || status === 505) return 'unknown';
  return status >= 500 ? 'sick' : 'well';
}

function judgeAnswer(status: number, headers: Readonly<Record<string, string>>, nowMs: number): Verdict {
  const message = `answered ${status}${STATUS_CODES[status] === undefined ? '' : ` ${STATUS_CODES[status]}`}`;
  const health = healthOf(status);
  if (status >= 200 && status < 300) return { kind: 'delivered', health, message };
  if (status >= 300 && status < 400)
    return { kind: 'retry', reason: 'Redirect', message: `${message}; redirects are not followed`, health };
  if (status === 410) return { kind: 'failed', reason: 'Gone', message, health };
  if (rejections.has(status)) return { kind: 'failed', reason: 'Rejected', message, health };
  if (status === 429 || status === 503) {
    const retryAfterMs = parseRetryAfter(headers['retry-after'], nowMs);
    return {
      kind: 'retry',
      reason: status === 429 ? 'RateLimited' : 'Unavailable',
      message: retryAfterMs ? `${message}; asks for a pause of ${formatDuration(retryAfterMs)}` : message,
      health,
      retryAfterMs,
      pausesOrigin: true,
    };
  }
  return { kind: 'retry', reason: 'HTTPStatus', message, health };
}
