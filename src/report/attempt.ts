import { isUtf8 } from 'node:buffer';
import type { Attempt } from '../api/delivery.ts';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { clampUtf8, escapeControls } from '../base/text.ts';
import { parseUrl } from '../base/url.ts';
import type { EgressGuard, SendOutcome, SendTimings } from '../egress/guard.ts';
import { StoreError } from '../store/errors.ts';
import type { Tenure } from '../store/shards/tenure.ts';
import { laneOfUrl } from './lane.ts';
import { redact } from './redact.ts';
import {
  type Message,
  type Preparation,
  type PreparedRequest,
  prepareRequest,
  type RequestDeps,
  type RequestSettings,
} from './request.ts';
import { judge, pauseMsOf, type Verdict } from './verdict.ts';

/** How much of an answer is kept. */
const maxAnswerBytes = 512;
const maxMessageBytes = 1024;

export interface AttemptDeps extends RequestDeps {
  readonly guard: Pick<EgressGuard, 'send'>;
  readonly clock: Clock;
  /** Until when an attempt may be made; undefined: at any time. */
  readonly tenure?: Tenure | undefined;
}

/** What came of an attempt: what it means, and what is kept of it. */
export interface AttemptResult {
  readonly verdict: Verdict;
  readonly record: Attempt;
  /** Undefined when no request could be built. */
  readonly outcome: SendOutcome | undefined;
  /** Where it went; undefined when that was never known. Safe to show. */
  readonly origin: string | undefined;
  /** The version of the Secret that the URL came out of, if it did. */
  readonly urlVersion: string | undefined;
}

/** Whether the request of an attempt can be built, as things stand. @throws StoreError when Secrets cannot be read */
export async function canBeSent(
  message: Message,
  number: number,
  settings: RequestSettings,
  deps: AttemptDeps,
): Promise<boolean> {
  const preparation = await prepare(message, { number, nowMs: deps.clock.now() }, settings, deps);
  return preparation.kind === 'ready';
}

/**
 * Makes one attempt at a message, the only way there is: a Delivery's and `telos hooks test`'s alike.
 * `onSend` is called right before the request is handed to the connector.
 * @throws StoreError when Secrets cannot be read at all: then nothing was sent; the signal's reason when it aborts
 */
export async function makeAttempt(
  message: Message,
  number: number,
  settings: RequestSettings,
  deps: AttemptDeps,
  signal: AbortSignal,
  onSend: (prepared: PreparedRequest) => void = () => {},
): Promise<AttemptResult> {
  const nowMs = deps.clock.now();
  const at = new Date(nowMs).toISOString();
  const preparation = await prepare(message, { number, nowMs }, settings, deps);
  if (preparation.kind === 'refused') {
    const verdict = tidy(preparation.verdict, []);
    const record = recordOf(number, at, verdict);
    return { verdict, record, outcome: undefined, origin: undefined, urlVersion: undefined };
  }
  const { prepared } = preparation;
  onSend(prepared);
  // Looking up, connecting and TLS take time, in which the right to send may end.
  const beforeWrite = deps.tenure === undefined ? undefined : () => deps.tenure?.check();
  const outcome = await deps.guard.send({ ...prepared.request, beforeWrite }, signal);
  const answeredAt = deps.clock.now();
  const origin = originOfUrl(prepared.request.url);
  const verdict = tidy(judge(outcome, answeredAt), prepared.secretValues);
  return {
    verdict,
    record: {
      ...recordOf(number, at, verdict),
      ...evidence(outcome, prepared.secretValues),
      ...pauseOf(verdict, origin, answeredAt),
    },
    outcome,
    origin,
    urlVersion: prepared.urlVersion,
  };
}

/** A fault of our own uses up an attempt like any other: it must neither stop the Delivery nor send it for ever. */
async function prepare(...args: Parameters<typeof prepareRequest>): Promise<Preparation> {
  try {
    return await prepareRequest(...args);
  } catch (thrown) {
    if (thrown instanceof StoreError) throw thrown;
    const message = `the request cannot be built: ${toError(thrown).name}`;
    return { kind: 'refused', verdict: { kind: 'retry', reason: 'Internal', message, health: 'unknown' } };
  }
}

/** One line, bounded, without secrets. */
function tidy(verdict: Verdict, secretValues: readonly string[]): Verdict {
  const message = clampUtf8(escapeControls(redact(verdict.message, secretValues)), maxMessageBytes);
  return { ...verdict, message };
}

function recordOf(number: number, at: string, verdict: Verdict): Attempt {
  const reason = verdict.kind === 'delivered' ? 'Delivered' : verdict.reason;
  return { number, at, reason, message: verdict.message };
}

function evidence(outcome: SendOutcome, secretValues: readonly string[]): Partial<Attempt> {
  const whole = wholeMs(outcome.timings);
  if (outcome.kind === 'refused') return whole;
  if (outcome.kind === 'failed')
    return outcome.address === undefined ? whole : { ...whole, address: outcome.address };
  const answer = answerHead(outcome.body, secretValues);
  return {
    ...whole,
    httpStatus: outcome.status,
    address: outcome.address,
    ...(answer === '' ? {} : { answer }),
  };
}

/** The times that were taken, in whole milliseconds. */
function wholeMs(timings: SendTimings): Partial<Attempt> {
  const whole: Partial<Attempt> = { durationMs: Math.round(timings.durationMs) };
  for (const part of ['dnsMs', 'connectMs', 'tlsMs', 'firstByteMs'] as const) {
    const ms = timings[part];
    if (ms !== undefined) whole[part] = Math.round(ms);
  }
  return whole;
}

/** Of anything but https the part that would be the origin may be a secret. */
function originOfUrl(url: string): string | undefined {
  const target = parseUrl(url);
  return target?.protocol === 'https:' ? laneOfUrl(target) : undefined;
}

/** What outlives a restart of an origin's wish to be left alone. */
function pauseOf(verdict: Verdict, origin: string | undefined, nowMs: number): Partial<Attempt> {
  const pauseMs = pauseMsOf(verdict);
  if (origin === undefined || pauseMs === 0) return {};
  return { pause: { origin, until: new Date(nowMs + pauseMs).toISOString() } };
}

function answerHead(body: Uint8Array, secretValues: readonly string[]): string {
  // More than is kept, because what is struck out makes it shorter.
  const text = redact(readText(body.subarray(0, 4 * maxAnswerBytes)), secretValues);
  return clampUtf8(escapeControls(text), maxAnswerBytes);
}

/** Header values are latin-1, and so may be what repeats them. */
function readText(bytes: Uint8Array): string {
  // The last character may have been cut off.
  for (let cut = 0; cut < 4; cut += 1) {
    const whole = bytes.subarray(0, Math.max(0, bytes.length - cut));
    if (isUtf8(whole)) return Buffer.from(whole).toString('utf8');
  }
  return Buffer.from(bytes).toString('latin1');
}
