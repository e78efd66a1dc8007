import type { Attempt, Delivery, DeliveryPhase, DeliveryReason, DeliveryStatus } from '../api/delivery.ts';
import { isSettled } from '../api/delivery.ts';
import { Hook } from '../api/hook.ts';
import { expiredAnnotation, redeliverAnnotation } from '../api/names.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import { laneOf, urlOf } from './lane.ts';
import { maxRetryAfterMs, retryDelayMs } from './schedule.ts';
import type { Verdict } from './verdict.ts';

/** Whether somebody asked for a fresh schedule that was not begun yet: by the annotation, or by the phase. */
export function redeliverRequested(delivery: Delivery): boolean {
  if (isReopened(delivery)) return true;
  const wanted = requestOf(delivery);
  return wanted !== undefined && wanted !== delivery.status?.redelivered;
}

/**
 * Whether a person set the phase back to Pending: it is never written to a Delivery that was tried or settled. Asking
 * with the phase is asking all the same; to go on with a schedule that is over would settle it again after one attempt.
 */
function isReopened({ status }: Delivery): boolean {
  if (status?.phase !== 'Pending') return false;
  return status.settledAt !== undefined || (status.attemptCount ?? 0) > 0;
}

/** Whether a Delivery needs the dispatcher. */
export function needsDispatch(delivery: Delivery): boolean {
  return !isSettled(delivery) || redeliverRequested(delivery);
}

/**
 * Whether a Delivery may be settled without a message: worth a look before it waits for its turn. Errs on the side
 * of yes; where it leads is not asked.
 */
export function mayNeedNoMessage({ metadata, spec, status }: Delivery): boolean {
  const { hook } = spec;
  if (typeof hook['invalid'] === 'string') return true;
  if (status?.redelivered === undefined && metadata.annotations?.[expiredAnnotation] === 'true') return true;
  if (hook['filter'] !== undefined && (status?.attemptCount ?? 0) === 0) return true;
  const webhook = hook['webhook'];
  return typeof webhook === 'object' && webhook !== null && 'template' in webhook;
}

/** No attempt is ever put off longer (the longest Retry-After, with jitter). */
const longestDelayMs = maxRetryAfterMs * 1.1;

/**
 * By how much the clock that wrote the last attempt is known to be ahead of this one: by as much as that attempt is in
 * the future. Another replica's clock may be wrong, or this one's was and was set right.
 */
function aheadMs({ status }: Delivery, nowMs: number): number {
  const madeAt = Date.parse(status?.attempts?.at(-1)?.at ?? '');
  return madeAt > nowMs ? madeAt - nowMs : 0;
}

/**
 * When the next attempt is due, in epoch milliseconds; 0 is at once. A time further ahead than any that is ever
 * stored was written while the clock was wrong, and counts as due.
 */
export function dueAt(delivery: Delivery, nowMs: number): number {
  if (redeliverRequested(delivery)) return 0;
  const epochMs = Date.parse(delivery.status?.nextAttemptAt ?? '') - aheadMs(delivery, nowMs);
  return Number.isNaN(epochMs) || epochMs > nowMs + longestDelayMs ? 0 : epochMs;
}

/**
 * What an origin asked for when a Delivery was last tried: how many milliseconds from now it is to be left alone. A
 * status says so of the origin alone that its own hook leads to, where that can be seen.
 */
export function pauseLeft(
  delivery: Delivery,
  nowMs: number,
): { readonly origin: string; readonly pauseMs: number } | undefined {
  const pause = delivery.status?.attempts?.at(-1)?.pause;
  if (pause === undefined || (urlOf(delivery) !== undefined && laneOf(delivery) !== pause.origin))
    return undefined;
  const pauseMs = Date.parse(pause.until) - aheadMs(delivery, nowMs) - nowMs;
  // Further ahead than any is ever asked for: written while the clock was wrong.
  return pauseMs > 0 && pauseMs <= maxRetryAfterMs ? { origin: pause.origin, pauseMs } : undefined;
}

/** What is to be done when a Delivery is due. */
export type DeliveryStep =
  | { readonly do: 'send'; readonly hook: Hook }
  | {
      readonly do: 'settle';
      readonly phase: 'Failed' | 'Skipped';
      readonly reason: DeliveryReason;
      readonly message: string;
    };

export interface StepDeps {
  /** Evaluates a filter over the payload. @throws Error with a message for people */
  readonly filter: (expression: string, payload: Delivery['spec']['payload']) => unknown;
  /** Whether its receiver said lately that the URL of its hook is gone for good. */
  readonly isGone: boolean;
}

const goneMessage =
  'the receiver answered 410 Gone to this hook URL within the last 24 h; once one that is redelivered arrives, others are sent again';

/** Decides from the Delivery alone. What a person asked to redeliver is sent whatever the filter or its age says. */
export function decideStep(delivery: Delivery, deps: StepDeps): DeliveryStep {
  const { spec, status, metadata } = delivery;
  const settle = (phase: 'Failed' | 'Skipped', reason: DeliveryReason, message: string): DeliveryStep => ({
    do: 'settle',
    phase,
    reason,
    message: clampUtf8(message, 1024),
  });
  if (typeof spec.hook['invalid'] === 'string') return settle('Failed', 'InvalidHook', spec.hook['invalid']);
  const parsed = Hook.safeParse(spec.hook);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return settle('Failed', 'InvalidHook', `spec.hook.${issue?.path.join('.')}: ${issue?.message}`);
  }
  const hook = parsed.data;
  if (redeliverRequested(delivery) || status?.redelivered !== undefined) return { do: 'send', hook };
  if (metadata.annotations?.[expiredAnnotation] === 'true')
    return settle('Skipped', 'Expired', 'the Task had ended too long ago when it was first seen');
  if (deps.isGone) return settle('Skipped', 'Gone', goneMessage);
  if (hook.filter === undefined || (status?.attemptCount ?? 0) > 0) return { do: 'send', hook };
  return filterStep(hook, hook.filter, delivery, deps, settle);
}

function filterStep(
  hook: Hook,
  expression: string,
  delivery: Delivery,
  deps: StepDeps,
  settle: (phase: 'Failed' | 'Skipped', reason: DeliveryReason, message: string) => DeliveryStep,
): DeliveryStep {
  try {
    const wanted = deps.filter(expression, delivery.spec.payload);
    if (wanted === true) return { do: 'send', hook };
    if (wanted === false) return settle('Skipped', 'FilterFalse', 'the filter of the hook is false');
    return settle('Failed', 'Filter', 'the filter of the hook gives neither true nor false');
  } catch (error) {
    return settle('Failed', 'Filter', `the filter of the hook failed: ${(error as Error).message}`);
  }
}

/** A status to be merged: null removes. */
export type StatusPatch = {
  readonly [Field in keyof DeliveryStatus]?: DeliveryStatus[Field] | null;
} & { readonly phase: DeliveryPhase };

/** The status of a Delivery that is settled without an attempt. */
export function settledStatus(
  delivery: Delivery,
  step: DeliveryStep & { readonly do: 'settle' },
  nowMs: number,
): StatusPatch {
  const { phase, reason, message } = step;
  const settled = { phase, reason, message, settledAt: rfc3339(nowMs), nextAttemptAt: null };
  return redeliverRequested(delivery) ? { ...settled, redelivered: acted(delivery) } : settled;
}

/** What `redelivered` says once the request is acted on. */
function acted(delivery: Delivery): string {
  return requestOf(delivery) ?? 'Pending';
}

function requestOf(delivery: Delivery): string | undefined {
  return delivery.metadata.annotations?.[redeliverAnnotation];
}

/** How many of the attempts a Delivery keeps. */
const keptAttempts = 10;

/** The status of a Delivery after an attempt with this verdict. `random`, 0 to 1, is for the jitter. */
export function attemptedStatus(
  delivery: Delivery,
  hook: Hook,
  verdict: Verdict,
  record: Attempt,
  time: {
    readonly nowMs: number;
    readonly random: number;
    /** Waits between attempts. Default: those of `retryDelayMs`. */
    readonly stepsMs?: readonly number[] | undefined;
  },
): StatusPatch {
  const { status = {} } = delivery;
  const fresh = redeliverRequested(delivery);
  const scheduleStart = fresh ? (status.attemptCount ?? 0) : (status.scheduleStart ?? 0);
  const base = {
    attemptCount: record.number,
    attempts: [...(status.attempts ?? []), record].slice(-keptAttempts),
    ...(fresh ? { scheduleStart, redelivered: acted(delivery) } : {}),
  };
  const settled = { nextAttemptAt: null, settledAt: rfc3339(time.nowMs) };
  const { message } = verdict;
  if (verdict.kind === 'delivered')
    return { ...base, ...settled, phase: 'Delivered', reason: 'Delivered', message };
  const { reason } = verdict;
  if (verdict.kind === 'failed') return { ...base, ...settled, phase: 'Failed', reason, message };
  const attempts = record.number - scheduleStart;
  const maxAttempts = hook.webhook.retry?.maxAttempts;
  const { retryAfterMs } = verdict;
  const { stepsMs, random } = time;
  const delayMs = retryDelayMs({ attempts, maxAttempts, stepsMs, retryAfterMs, random });
  if (delayMs === undefined) {
    const all = attempts === 1 ? 'the only attempt failed' : `all ${attempts} attempts failed`;
    return {
      ...base,
      ...settled,
      phase: 'Failed',
      reason: 'Exhausted',
      message: `${all}, the last: ${reason}: ${message}`,
    };
  }
  const nextAttemptAt = new Date(time.nowMs + delayMs).toISOString();
  return { ...base, phase: 'Retrying', reason, message, nextAttemptAt, settledAt: null };
}
