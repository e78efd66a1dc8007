import type { Delivery } from '../api/delivery.ts';
import type { Clock } from '../base/clock.ts';
import type { Informers } from '../store/informer.ts';
import type { View } from '../store/view.ts';
import { urlOf } from './lane.ts';

/** How long a 410 stands. */
const goneMs = 24 * 3_600_000;

interface Gone {
  readonly url: string;
  readonly untilMs: number;
}

/** The hook URLs whose receivers answered 410 within the last 24 h, read off the Deliveries that failed of it. */
export class GoneUrls {
  readonly #clock: Clock;
  readonly #view: View<Gone>;

  constructor(informers: Informers, clock: Clock) {
    this.#clock = clock;
    this.#view = informers.of('Delivery').view({
      select: (delivery) => this.#select(delivery),
      groupBy: (gone) => gone.url,
    });
  }

  has(url: string): boolean {
    const now = this.#clock.now();
    // Further ahead than a day: written while the clock was wrong.
    for (const { untilMs } of this.#view.group(url))
      if (untilMs > now && untilMs <= now + goneMs) return true;
    return false;
  }

  #select(delivery: Delivery): Gone | undefined {
    const { status } = delivery;
    if (status?.reason !== 'Gone' || status.phase !== 'Failed') return undefined;
    const url = urlOf(delivery);
    const untilMs = Date.parse(status.settledAt ?? '') + goneMs;
    return url !== undefined && untilMs > this.#clock.now() ? { url, untilMs } : undefined;
  }
}
