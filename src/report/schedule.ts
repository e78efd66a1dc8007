const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Milliseconds from one attempt to the next: after the first, after the second, … The last step repeats. */
const defaultSteps: readonly number[] = [
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  10 * hour,
];

/** The least that an origin is left alone when it asks for a pause. */
export const leastPauseMs = 5 * second;

/** The longest that a `Retry-After` is obeyed. */
export const maxRetryAfterMs = 24 * hour;

export interface ScheduleInput {
  /** Attempts made since the schedule began, the one that just failed included: 1, 2, … */
  readonly attempts: number;
  /** Default: each step once. */
  readonly maxAttempts?: number | undefined;
  /** Default: 10 attempts in about 28 hours. */
  readonly stepsMs?: readonly number[] | undefined;
  /** What the receiver asked for; waited out in full, at most 24 h. */
  readonly retryAfterMs?: number | undefined;
  /** From 0 to 1: how much of the 10 % jitter is added. */
  readonly random: number;
}

/** Milliseconds until the next attempt, or undefined when there shall be none. Jitter only ever adds. */
export function retryDelayMs(input: ScheduleInput): number | undefined {
  const { attempts, stepsMs = defaultSteps, retryAfterMs = 0, random } = input;
  const { maxAttempts = stepsMs.length + 1 } = input;
  if (attempts >= maxAttempts) return undefined;
  const step = stepsMs[Math.min(attempts, stepsMs.length) - 1] ?? leastPauseMs;
  const least = Math.max(step, Math.min(retryAfterMs, maxRetryAfterMs));
  return Math.ceil(least * (1 + random / 10));
}

/**
 * The wait that a `Retry-After` header asks for, in milliseconds from `nowMs`: whole seconds or an HTTP date.
 * Undefined for anything else; a date that has passed is 0.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * second, maxRetryAfterMs);
  if (/^\d+$/.test(text)) return maxRetryAfterMs;
  // Only dates that name a day begin with a letter: Date.parse takes "-5" or "1.5" for a year or a day.
  if (!/^[A-Z][a-z]{2,8},? /.test(text)) return undefined;
  const at = Date.parse(/GMT|UTC/.test(text) ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - nowMs), maxRetryAfterMs);
}
