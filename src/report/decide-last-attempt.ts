/** How long after it was deleted the last attempt at a Delivery may begin, in milliseconds. */
export const lastAttemptMs = 30_000;

/** What is known of a Delivery that was deleted before it was settled. */
export interface Departure {
  /** What becomes of its namespace. */
  readonly namespace: 'goes' | 'stays' | 'unknown';
  /** Whether an attempt was under way when it was deleted. */
  readonly underWay: boolean;
  /** Milliseconds since it was deleted. */
  readonly sinceMs: number;
}

export type DepartureStep =
  /** Somebody took back what was to be told: it is not told. */
  | { readonly do: 'leave' }
  /** Nobody knows yet why it was deleted. */
  | { readonly do: 'ask' }
  /** Its namespace took it along: it is told once more, at once. */
  | { readonly do: 'attempt' }
  /** It is not told (any more). */
  | { readonly do: 'count'; readonly outcome: 'underWay' | 'unsent' };

/**
 * What is to be done about a Delivery that was deleted before it was settled. No finalizer holds it, because a
 * namespace that is deleted must never wait for Telos, least of all for one that is not there any more. So all that is
 * left is what the watch brought last, and a short time.
 */
export function decideDeparture({ namespace, underWay, sinceMs }: Departure): DepartureStep {
  if (namespace === 'stays') return { do: 'leave' };
  if (namespace === 'goes' && underWay) return { do: 'count', outcome: 'underWay' };
  if (sinceMs > lastAttemptMs) return { do: 'count', outcome: 'unsent' };
  return { do: namespace === 'goes' ? 'attempt' : 'ask' };
}
