import type { Delivery } from '../api/delivery.ts';
import type { Clock } from '../base/clock.ts';
import type { Informers } from '../store/informer.ts';
import { laneOf, urlOf, urlSecretOf } from './lane.ts';
import { type SecretSource, versionOf } from './secrets.ts';

/** How long a 410 stands. */
const goneMs = 24 * 3_600_000;

/** So many URLs are remembered; beyond that the one that was noted first is forgotten, and asked once more. */
const maxUrls = 10_000;

/** What the store says of one hook URL. Epoch milliseconds. */
interface Sighting {
  /** When its receiver last said that it is gone. */
  goneMs: number;
  /** For a URL in a Secret: the version of the Secret that it came from. */
  version: string | undefined;
  /** When a Delivery that a person had sent again last arrived there. */
  backMs: number;
}

/**
 * The hook URLs whose receivers answered 410 within the last 24 h, read off the Deliveries: those that failed of
 * it, and those that were sent again and arrived. A URL that stands in a Secret is known by the version of the
 * Secret, never by itself: when the Secret changes, it is another URL.
 */
export class GoneUrls {
  readonly #clock: Clock;
  readonly #secrets: SecretSource;
  readonly #sightings = new Map<string, Sighting>();

  constructor(informers: Informers, clock: Clock, secrets: SecretSource) {
    this.#clock = clock;
    this.#secrets = secrets;
    informers.of('Delivery').view({
      select: (delivery) => {
        this.#note(delivery);
        return undefined;
      },
    });
  }

  /** Whether the URL of this Delivery's hook is gone. @throws StoreError when its Secret cannot be read */
  async has(delivery: Delivery): Promise<boolean> {
    const sighting = this.#sightings.get(placeOf(delivery));
    if (sighting === undefined || !this.#stands(sighting)) return false;
    const reference = urlSecretOf(delivery);
    if (reference === undefined) return true;
    const secret = await this.#secrets.read(delivery.metadata.namespace, reference.name);
    return secret !== undefined && versionOf(secret) === sighting.version;
  }

  #stands({ goneMs: at, backMs }: Sighting): boolean {
    const now = this.#clock.now();
    // Ahead of now: written while the clock was wrong.
    return at > backMs && at > now - goneMs && at <= now + goneMs;
  }

  #note(delivery: Delivery): void {
    const { phase, reason, settledAt, redelivered, goneUrlVersion } = delivery.status ?? {};
    const isGone = phase === 'Failed' && reason === 'Gone';
    if (!isGone && (phase !== 'Delivered' || redelivered === undefined)) return;
    const at = Date.parse(settledAt ?? '');
    if (!(at > this.#clock.now() - goneMs)) return;
    const place = placeOf(delivery);
    const sighting = this.#sightings.get(place) ?? { goneMs: 0, version: undefined, backMs: 0 };
    this.#sightings.set(place, sighting);
    if (!isGone) sighting.backMs = Math.max(sighting.backMs, at);
    else if (at >= sighting.goneMs) Object.assign(sighting, { goneMs: at, version: goneUrlVersion });
    this.#bound();
  }

  #bound(): void {
    if (this.#sightings.size <= maxUrls) return;
    for (const place of this.#sightings.keys()) {
      this.#sightings.delete(place);
      return;
    }
  }
}

/**
 * What stands for the URL of a Delivery's hook: itself, or where it is kept; and who asks there: one account may be closed
 * and another not, and no namespace takes another's word for it.
 */
function placeOf(delivery: Delivery): string {
  const { metadata, spec } = delivery;
  const webhook = (spec.hook['webhook'] ?? {}) as { readonly secretRef?: { readonly name?: unknown } };
  return JSON.stringify([metadata.namespace, webhook.secretRef?.name, urlOf(delivery) ?? laneOf(delivery)]);
}
