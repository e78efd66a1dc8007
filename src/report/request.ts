import type { Payload } from '../api/delivery.ts';
import type { Hook } from '../api/hook.ts';
import { TelosError } from '../base/errors.ts';
import { parseUrl } from '../base/url.ts';
import type { EgressRequest } from '../egress/guard.ts';
import { FormatError, formatBody } from './formats/format.ts';
import type { TemplateCache } from './formats/template.ts';
import { laneOfUrl } from './lane.ts';
import { secretHeaders } from './secret-headers.ts';
import {
  findSecret,
  type HookSecrets,
  permitSecret,
  RequestRefusal,
  requireValue,
  type SecretSource,
  versionOf,
} from './secrets.ts';
import { SigningKeyError, signMessage } from './sign.ts';
import type { Verdict } from './verdict.ts';

/** The message of a Delivery: what its spec holds. */
export interface Message {
  readonly id: string;
  readonly namespace: string;
  readonly hook: Hook;
  readonly payload: Payload;
}

export interface RequestSettings {
  readonly hookSecrets: HookSecrets;
  /** For `User-Agent`. */
  readonly version: string;
}

export interface RequestDeps {
  readonly secrets: SecretSource;
  readonly templates: TemplateCache;
}

/** A request as it will be sent, and what of it is nobody's business. */
export interface PreparedRequest {
  readonly request: EgressRequest;
  /** Values that came out of Secrets, and tokens in the URL: struck out of whatever is kept of the answer. */
  readonly secretValues: readonly string[];
  /** Headers, in lower case, whose values came out of Secrets. */
  readonly secretHeaders: readonly string[];
  /** The version of the Secret that the URL itself came out of; undefined when it stands in the hook. */
  readonly urlVersion: string | undefined;
}

export type Preparation =
  | { readonly kind: 'ready'; readonly prepared: PreparedRequest }
  | { readonly kind: 'refused'; readonly verdict: Verdict };

const defaultTimeoutSeconds = 10;

/**
 * Builds the request of one attempt: body, Secrets read anew, headers, signature.
 * @throws StoreError when Secrets cannot be read at all
 */
export async function prepareRequest(
  message: Message,
  attempt: { readonly number: number; readonly nowMs: number },
  settings: RequestSettings,
  deps: RequestDeps,
): Promise<Preparation> {
  try {
    return { kind: 'ready', prepared: await buildRequest(message, attempt, settings, deps) };
  } catch (error) {
    if (error instanceof RequestRefusal) return refusal(error);
    if (error instanceof FormatError) return failure('InvalidHook', error.message);
    if (error instanceof TelosError && error.code.startsWith('Template'))
      return failure('Template', `webhook.template: ${error.message}`);
    throw error;
  }
}

function refusal({ reason, message }: RequestRefusal): Preparation {
  if (reason === 'Blocked') return failure(reason, message);
  return { kind: 'refused', verdict: { kind: 'retry', reason, message, health: 'unknown' } };
}

function failure(reason: 'Blocked' | 'InvalidHook' | 'Template', message: string): Preparation {
  return { kind: 'refused', verdict: { kind: 'failed', reason, message, health: 'unknown' } };
}

/**
 * The origin whose turn a message takes, its Secret read; undefined when there is none to wait for, as nothing
 * will be sent there.
 * @throws StoreError when Secrets cannot be read at all
 */
export async function originOf(
  message: Pick<Message, 'namespace' | 'hook'>,
  settings: RequestSettings,
  deps: Pick<RequestDeps, 'secrets'>,
  refuses: (url: string) => boolean,
): Promise<string | undefined> {
  try {
    const { text, target } = await targetOf(message, settings, deps);
    return refuses(text) ? undefined : laneOfUrl(target);
  } catch (error) {
    if (error instanceof RequestRefusal) return undefined;
    throw error;
  }
}

async function buildRequest(
  message: Message,
  attempt: { readonly number: number; readonly nowMs: number },
  settings: RequestSettings,
  deps: RequestDeps,
): Promise<PreparedRequest> {
  const { id, namespace, hook, payload } = message;
  const { webhook } = hook;
  const formatted = formatBody(payload, webhook, id, deps.templates);
  const url = await targetOf(message, settings, deps);
  const ours = {
    'user-agent': `telos/${settings.version}`,
    'accept-encoding': 'identity',
    ...formatted.headers,
  };
  const fromSecret = await headersFromSecret(message, url.target, ours, settings, deps);
  const timestamp = Math.floor(attempt.nowMs / 1000);
  const headers: Record<string, string> = {
    ...ours,
    'content-type': formatted.contentType,
    ...fromSecret,
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'telos-attempt': String(attempt.number),
  };
  const { signing } = webhook;
  if (signing !== undefined) {
    const key = await valueFor(namespace, signing.secretRef, url.target, settings, deps);
    headers['webhook-signature'] = sign(key, signing.secretRef, { id, timestamp, body: formatted.body });
  }
  return {
    request: {
      url: url.text,
      headers,
      body: formatted.body,
      timeoutMs: (webhook.timeoutSeconds ?? defaultTimeoutSeconds) * 1000,
    },
    secretValues: [...Object.values(fromSecret), ...tellingPartsOf(url)],
    secretHeaders: Object.keys(fromSecret),
    urlVersion: url.version,
  };
}

interface Target {
  readonly text: string;
  readonly target: URL;
  /** Of the Secret that it came out of. */
  readonly version: string | undefined;
}

async function targetOf(
  message: Pick<Message, 'namespace' | 'hook'>,
  settings: RequestSettings,
  deps: Pick<RequestDeps, 'secrets'>,
): Promise<Target> {
  const { url, urlFrom } = message.hook.webhook;
  if (urlFrom === undefined) return { ...parseTarget(url ?? ''), version: undefined };
  const { name, key } = urlFrom.secretKeyRef;
  const secret = await findSecret(deps.secrets, message.namespace, name);
  // A line break at the end is what `echo` leaves; everything else is for the egress guard to judge.
  const parsed = parseTarget(requireValue(secret, key).replace(/[\r\n]+$/, ''));
  permitSecret(secret, parsed.target, settings.hookSecrets);
  return { ...parsed, version: versionOf(secret) };
}

/** Scheme and authority of a URL as somebody wrote it. */
const origin = /^\s*[a-z][a-z0-9+.-]*:[/\\]*[^/\\?#]*/i;

/**
 * What may not be shown of a URL: of one that is a credential everything behind its origin, as it was written and as it
 * is sent, and each long part of that; of one that stands in the hook itself, the parts that are long enough to be
 * tokens. Where it leads is no secret: who has to mend it must see that.
 */
function tellingPartsOf({ text, target, version }: Target): string[] {
  const { pathname, search, username, password } = target;
  const parts = `${pathname}${search}`.split(/[/?&=]/);
  if (version === undefined) return parts.filter((part) => part.length >= 16);
  const whole = [text.replace(origin, ''), `${pathname}${search}`, pathname].filter((part) => part !== '/');
  return [...whole, username, password, ...parts.filter((part) => part.length >= 8)];
}

function parseTarget(text: string): { text: string; target: URL } {
  const target = parseUrl(text);
  if (target === undefined)
    throw new RequestRefusal(
      'Blocked',
      'blocked: the URL of the hook cannot be parsed; write https://host/path',
    );
  return { text, target };
}

async function headersFromSecret(
  message: Message,
  target: URL,
  ours: Readonly<Record<string, string>>,
  settings: RequestSettings,
  deps: RequestDeps,
): Promise<Record<string, string>> {
  const { secretRef } = message.hook.webhook;
  if (secretRef === undefined) return {};
  const secret = await findSecret(deps.secrets, message.namespace, secretRef.name);
  permitSecret(secret, target, settings.hookSecrets);
  return secretHeaders(secret, new Set(Object.keys(ours)));
}

async function valueFor(
  namespace: string,
  ref: { readonly name: string; readonly key: string },
  target: URL,
  settings: RequestSettings,
  deps: RequestDeps,
): Promise<string> {
  const secret = await findSecret(deps.secrets, namespace, ref.name);
  permitSecret(secret, target, settings.hookSecrets);
  return requireValue(secret, ref.key);
}

function sign(
  key: string,
  ref: { readonly name: string; readonly key: string },
  message: { readonly id: string; readonly timestamp: number; readonly body: string },
): string {
  try {
    return signMessage(key, message);
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error;
    throw new RequestRefusal('SecretNotFound', `key ${ref.key} of Secret ${ref.name} is ${error.message}`);
  }
}
