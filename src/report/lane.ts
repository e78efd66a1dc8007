import type { Delivery } from '../api/delivery.ts';
import { parseUrl } from '../base/url.ts';

/**
 * Whose turn a Delivery takes: that of its hook's origin. A URL that stands in a Secret is not known before
 * it is read, so there the Secret's key stands for it.
 */
export function laneOf(delivery: Delivery): string {
  const webhook = objectAt(delivery.spec.hook, 'webhook');
  const url = webhook?.['url'];
  const parsed = typeof url === 'string' ? parseUrl(url) : undefined;
  if (parsed !== undefined) return parsed.origin;
  const reference = urlSecretOf(delivery);
  if (reference === undefined) return 'none';
  return `secret:${delivery.metadata.namespace}/${reference.name}/${reference.key}`;
}

/** Hook URLs whose lane is remembered. */
const maxLanes = 4096;

/** The lanes of many Deliveries at few URLs: each URL is parsed once, and each lane's text is kept once. */
export class Lanes {
  readonly #byUrl = new Map<string, string>();

  of(delivery: Delivery): string {
    const url = urlOf(delivery);
    if (url === undefined) return laneOf(delivery);
    let lane = this.#byUrl.get(url);
    if (lane === undefined) {
      if (this.#byUrl.size >= maxLanes) this.#byUrl.clear();
      lane = laneOf(delivery);
      this.#byUrl.set(url, lane);
    }
    return lane;
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
