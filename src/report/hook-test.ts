import { randomUUID } from 'node:crypto';
import type { Payload } from '../api/delivery.ts';
import type { Hook, TerminalPhase } from '../api/hook.ts';
import type { Clock } from '../base/clock.ts';
import { rfc3339 } from '../base/text.ts';
import type { EgressGuard } from '../egress/guard.ts';
import { type AttemptResult, makeAttempt } from './attempt.ts';
import { Filters } from './filters.ts';
import { TemplateCache } from './formats/template.ts';
import { type PreparedRequest, prepareRequest, type RequestSettings } from './request.ts';
import { deliveryId } from './run-id.ts';
import type { SecretSource } from './secrets.ts';
import type { Verdict } from './verdict.ts';

export interface HookTestInput {
  readonly hook: Hook;
  /** Where the Secrets of the hook are. */
  readonly namespace: string;
  /** What the hook is told: `samplePayload`, or `payloadOf` a Task. */
  readonly payload: Payload;
}

export interface HookTestDeps {
  readonly guard: Pick<EgressGuard, 'send'>;
  readonly clock: Clock;
  readonly secrets: SecretSource;
}

/** A request as it may be shown: values that came out of Secrets are masked. */
export interface ShownRequest {
  readonly method: 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Whether the hook wants this payload at all. */
export type HookMatch =
  | { readonly wanted: true }
  /** By its phases or its filter, and why. `isFault`: its filter could not say. */
  | { readonly wanted: false; readonly message: string; readonly isFault: boolean };

/** One hook, ready to be tried. */
export interface HookTest {
  readonly hook: string;
  /** A test sends whether or not the hook would be told. */
  readonly match: HookMatch;
  /** What would be sent, or the verdict when no request can be built. */
  readonly prepared:
    | { readonly kind: 'ready'; readonly request: ShownRequest }
    | { readonly kind: 'refused'; readonly verdict: Verdict };
  /** Makes the one attempt, by the very code of a real Delivery. Secrets are read anew. */
  send(signal: AbortSignal): Promise<AttemptResult>;
}

/** Builds the request that a hook would get, to show it or to send it. */
export async function prepareHookTest(
  input: HookTestInput,
  settings: RequestSettings,
  deps: HookTestDeps,
): Promise<HookTest> {
  const { hook, namespace, payload } = input;
  const run = { uid: randomUUID(), phase: payload.phase, completionTime: undefined, startTime: undefined };
  const message = { id: deliveryId(run, hook.name), namespace, hook, payload };
  const requestDeps = { secrets: deps.secrets, templates: new TemplateCache() };
  const attempt = { number: 1, nowMs: deps.clock.now() };
  const preparation = await prepareRequest(message, attempt, settings, requestDeps);
  return {
    hook: hook.name,
    match: matchOf(hook, payload),
    prepared:
      preparation.kind === 'ready'
        ? { kind: 'ready', request: shownRequest(preparation.prepared) }
        : preparation,
    send: (signal) => makeAttempt(message, 1, settings, { ...deps, ...requestDeps }, signal),
  };
}

/** A payload as a Task that ended in this phase would give it. */
export function samplePayload(
  phase: TerminalPhase,
  of: Pick<Payload, 'namespace' | 'spawner' | 'agentType' | 'model'>,
  nowMs: number,
): Payload {
  return {
    task: 'sample-task',
    namespace: of.namespace,
    spawner: of.spawner,
    phase,
    message: phase === 'Succeeded' ? 'Task completed successfully' : 'Task failed',
    agentType: of.agentType,
    model: of.model,
    startTime: rfc3339(nowMs - 90_000),
    completionTime: rfc3339(nowMs),
    outputs: ['branch: sample-branch', 'cost-usd: 0.42'],
    results: { branch: 'sample-branch', 'cost-usd': '0.42' },
  };
}

function shownRequest({ request, secretHeaders, urlVersion }: PreparedRequest): ShownRequest {
  const masked = new Set(secretHeaders);
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    masked.has(name) ? '***' : value,
  ]);
  return {
    method: 'POST',
    url: urlVersion === undefined ? request.url : `${new URL(request.url).origin}/***`,
    headers: Object.fromEntries(headers),
    body: typeof request.body === 'string' ? request.body : Buffer.from(request.body).toString('utf8'),
  };
}

function matchOf(hook: Hook, payload: Payload): HookMatch {
  if (hook.phases?.length && !hook.phases.includes(payload.phase))
    return { wanted: false, message: `its phases leave out ${payload.phase}`, isFault: false };
  if (hook.filter === undefined) return { wanted: true };
  try {
    const value = new Filters().evaluate(hook.filter, payload);
    if (value === true) return { wanted: true };
    return { wanted: false, message: `its filter gives ${String(value)}`, isFault: value !== false };
  } catch (error) {
    return { wanted: false, message: `its filter fails: ${(error as Error).message}`, isFault: true };
  }
}
