import type { Delivery } from '../api/delivery.ts';
import { parseUrl } from '../base/url.ts';

/**
 * Whose turn a Delivery takes, as far as the Delivery itself says: that of its hook's origin. A URL that stands in a
 * Secret is not known before it is read; until then the Secret's key stands for it.
 */
export function laneOf(delivery: Delivery): string {
  const webhook = objectAt(delivery.spec.hook, 'webhook');
  const url = webhook?.['url'];
  const parsed = typeof url === 'string' ? parseUrl(url) : undefined;
  if (parsed !== undefined) return laneOfUrl(parsed);
  const reference = urlSecretOf(delivery);
  if (reference === undefined) return 'none';
  return `secret:${delivery.metadata.namespace}/${reference.name}/${reference.key}`;
}

/** The origin that a URL leads to, the same text however it is written: `a.example.` is `a.example`. */
export function laneOfUrl({ protocol, hostname, port, origin }: URL): string {
  if (!hostname.endsWith('.')) return origin;
  return `${protocol}//${hostname.slice(0, -1)}${port === '' ? '' : `:${port}`}`;
}

/** What is known of a Delivery's lane before it is read again. */
export interface LaneHint {
  readonly lane: string;
  /** Whether it is an origin, which the text of the URL is no reason to refuse. */
  readonly isOrigin: boolean;
}

/** Hook URLs whose lane is remembered. */
const maxLanes = 4096;

/** The lanes of many Deliveries at few URLs: each URL is parsed once, and each lane's text is kept once. */
export class Lanes {
  readonly #byUrl = new Map<string, LaneHint>();
  readonly #refuses: (url: string) => boolean;

  /** `refuses` tells whether the text of a URL is enough to refuse it. */
  constructor(refuses: (url: string) => boolean) {
    this.#refuses = refuses;
  }

  of(delivery: Delivery): LaneHint {
    const url = urlOf(delivery);
    if (url === undefined) return { lane: laneOf(delivery), isOrigin: false };
    let hint = this.#byUrl.get(url);
    if (hint === undefined) {
      if (this.#byUrl.size >= maxLanes) this.#byUrl.clear();
      hint = { lane: laneOf(delivery), isOrigin: !this.#refuses(url) };
      this.#byUrl.set(url, hint);
    }
    return hint;
  }
}

/** Where the URL of a hook is kept, when it stands in a Secret. */
export function urlSecretOf(delivery: Delivery): { readonly name: string; readonly key: string } | undefined {
  const webhook = objectAt(delivery.spec.hook, 'webhook');
  const reference = objectAt(objectAt(webhook, 'urlFrom'), 'secretKeyRef');
  return reference && { name: String(reference['name']), key: String(reference['key']) };
}

/** The URL of a hook, when it stands in the hook itself. */
export function urlOf(delivery: Delivery): string | undefined {
  const url = objectAt(delivery.spec.hook, 'webhook')?.['url'];
  return typeof url === 'string' ? url : undefined;
}

function objectAt(value: unknown, key: string): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || !(key in value)) return undefined;
  const member = (value as Record<string, unknown>)[key];
  return typeof member === 'object' && member !== null ? (member as Record<string, unknown>) : undefined;
}
