import type { DeliveryReason } from '../api/delivery.ts';
import { hookOriginsAnnotation, hookSecretLabel } from '../api/names.ts';
import { type Secret, secretValue } from '../api/secret.ts';
import type { Clock } from '../base/clock.ts';
import { TelosError } from '../base/errors.ts';
import { parseUrl } from '../base/url.ts';
import { isStoreError } from '../store/errors.ts';
import type { ResourceStore } from '../store/store.ts';

/** Which Secrets hooks may send: any of the Task's namespace, or only those labelled for it. */
export type HookSecrets = 'any' | 'labelled';

/** Where Secrets are read from. */
export interface SecretSource {
  /** Undefined when there is none of that name. */
  read(namespace: string, name: string): Promise<Secret | undefined>;
}

/** A request that cannot be built as things stand. The message holds no value. */
export class RequestRefusal extends TelosError {
  readonly reason: DeliveryReason;

  constructor(reason: DeliveryReason, message: string) {
    super('RequestRefusal', message);
    this.reason = reason;
  }
}

/** How long a Secret that was read is good for: short, so that a rotation works at once. */
const freshMs = 2_000;
const maxCached = 256;

/** Reads Secrets from the store, each at most once in two seconds. */
export class StoreSecrets implements SecretSource {
  readonly #store: ResourceStore;
  readonly #clock: Clock;
  readonly #cache = new Map<
    string,
    { readonly readAt: number; readonly secret: Promise<Secret | undefined> }
  >();

  constructor(store: ResourceStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  read(namespace: string, name: string): Promise<Secret | undefined> {
    const text = `${namespace}/${name}`;
    const now = this.#clock.monotonic();
    const cached = this.#cache.get(text);
    if (cached !== undefined && now - cached.readAt < freshMs) return cached.secret;
    const secret = this.#read(namespace, name);
    if (this.#cache.size >= maxCached) this.#cache.clear();
    this.#cache.set(text, { readAt: now, secret });
    // A store in trouble is asked again by the next attempt.
    secret.catch(() => this.#cache.delete(text));
    return secret;
  }

  async #read(namespace: string, name: string): Promise<Secret | undefined> {
    try {
      return await this.#store.get('Secret', { namespace, name });
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }
}

/** What tells one version of a Secret from every other. Says nothing of its values. */
export function versionOf({ metadata }: Secret): string {
  return `${metadata.uid}.${metadata.resourceVersion}`;
}

/** Characters of an annotation that a message may repeat. */
const maxQuoted = 512;

/** Types whose values are credentials of the cluster itself. */
const refusedTypes: ReadonlySet<string> = new Set([
  'kubernetes.io/service-account-token',
  'bootstrap.kubernetes.io/token',
  'helm.sh/release.v1',
]);

/**
 * Finds a Secret.
 * @throws RequestRefusal SecretNotFound
 */
export async function findSecret(source: SecretSource, namespace: string, name: string): Promise<Secret> {
  const secret = await source.read(namespace, name);
  if (secret === undefined)
    throw new RequestRefusal(
      'SecretNotFound',
      `there is no Secret ${name} in namespace ${namespace}; create it`,
    );
  return secret;
}

/**
 * The value of one key.
 * @throws RequestRefusal SecretNotFound
 */
export function requireValue(secret: Secret, key: string): string {
  const value = secretValue(secret, key);
  if (value === undefined || value === '') {
    const { name, namespace } = secret.metadata;
    throw new RequestRefusal(
      'SecretNotFound',
      `Secret ${name} in namespace ${namespace} has no key ${key}; add it`,
    );
  }
  return value;
}

/**
 * Refuses a Secret that may not be used for this target. The message is the command that would allow it.
 * @throws RequestRefusal SecretNotAllowed
 */
export function permitSecret(secret: Secret, target: URL, mode: HookSecrets): void {
  const { name, namespace, annotations, labels } = secret.metadata;
  const refuse = (why: string): never => {
    throw new RequestRefusal('SecretNotAllowed', `Secret ${name} in namespace ${namespace} ${why}`);
  };
  const allow = (verb: 'annotate' | 'label', assignment: string): string =>
    `allow it: kubectl ${verb} secret ${name} -n ${namespace} --overwrite ${assignment} (or the same with telos ${verb})`;

  if (secret.type !== undefined && refusedTypes.has(secret.type))
    refuse(`has type ${secret.type}, which hooks never send; make an Opaque Secret of what they need`);
  const origins = annotations?.[hookOriginsAnnotation];
  if (origins !== undefined && !matchesOrigin(origins, target)) {
    const wanted = [...origins.split(/\s+/), target.origin].filter((origin) => origin !== '').join(' ');
    const why = `may not go to ${target.origin}`;
    // A command that is cut short would be another command.
    if (wanted.length > maxQuoted) refuse(`${why}; add it to its annotation ${hookOriginsAnnotation}`);
    refuse(`${why}; ${allow('annotate', shellQuoted(`${hookOriginsAnnotation}=${wanted}`))}`);
  }
  if (mode === 'labelled' && labels?.[hookSecretLabel] !== 'true')
    refuse(`is not labelled for hooks; ${allow('label', `${hookSecretLabel}=true`)}`);
}

/** The text as one word of a shell: whoever may annotate a Secret must not write what an operator then runs. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Whether a list of origins and `*.name` patterns, separated by white space, has one for this target. */
function matchesOrigin(list: string, target: URL): boolean {
  return list.split(/\s+/).some((entry) => {
    const pattern = /^(?:https:\/\/)?\*(\.[^/:*]+)(?::(\d+))?\/?$/i.exec(entry);
    if (pattern === null) return parseUrl(entry)?.origin === target.origin;
    const [, suffix = '', port = '443'] = pattern;
    return target.hostname.endsWith(suffix.toLowerCase()) && (target.port || '443') === port;
  });
}
