import { Resolver as DnsResolver, getServers } from 'node:dns/promises';
import { abortable } from '../base/abort.ts';
import type { Clock } from '../base/clock.ts';
import { errorCode, TelosError } from '../base/errors.ts';
import { normalAddress } from './address-policy.ts';
import { isLoopbackName, loopbackAddresses } from './name-policy.ts';

/** A name could not be resolved. `code` is `NotFound` (it does not exist, or has no address), `TooMany` or `Failed`. */
export class ResolveError extends TelosError {
  declare readonly code: 'NotFound' | 'TooMany' | 'Failed';

  constructor(code: 'NotFound' | 'TooMany' | 'Failed', message: string) {
    super(code, message);
  }
}

/** Asking for a name has failed. */
export function unresolved(name: string, why: string): ResolveError {
  return new ResolveError(
    'Failed',
    `${name} cannot be resolved: ${why}; check --dns-server, or the system's DNS`,
  );
}

/** A and AAAA together may take so long. */
const timeoutMs = 3_000;
/** Answers are believed for their TTL, within these bounds (seconds). */
const shortestTtl = 5;
const longestTtl = 60;
const maxAnswers = 16;
/** Names remembered; the oldest goes first. */
const maxCached = 4096;

/** Answers that say that there is nothing of the kind asked for, rather than that asking failed. */
const absent: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);

interface Cached {
  readonly addresses: readonly string[];
  /** Monotonic milliseconds. */
  readonly until: number;
}

/**
 * Resolves names by asking DNS servers itself: fully qualified, A and AAAA, never the hosts file and never a
 * search domain, so that what is vetted is what the name's owner says. The same question at the same time is
 * asked once.
 */
export class Resolver {
  readonly #servers: readonly string[];
  readonly #clock: Clock;
  readonly #cache = new Map<string, Cached>();
  readonly #asking = new Map<string, Promise<readonly string[]>>();

  /** `servers` as `IP:PORT`; none: those that the system names. */
  constructor(servers: readonly string[], clock: Clock) {
    this.#servers = servers;
    this.#clock = clock;
  }

  /** The addresses of a name, IPv4 first. @throws ResolveError, or the signal's reason */
  async resolve(name: string, signal: AbortSignal): Promise<readonly string[]> {
    // The name policy has let it pass.
    if (isLoopbackName(name)) return loopbackAddresses;
    const cached = this.#cache.get(name);
    if (cached !== undefined && cached.until > this.#clock.monotonic()) return cached.addresses;
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      asking = this.#ask(name).finally(() => this.#asking.delete(name));
      // Whoever asked may have given up: then nobody is left to hear of a failure.
      asking.catch(() => {});
      this.#asking.set(name, asking);
    }
    return abortable(asking, signal);
  }

  async #ask(name: string): Promise<readonly string[]> {
    // One for each question: cancelling it cancels nothing else.
    const servers = this.#servers.length > 0 ? this.#servers : getServers();
    // A server that is silent must leave time to ask the next, and each is asked twice: datagrams get lost. The
    // second time it is given twice as long.
    const resolver = new DnsResolver({
      timeout: Math.floor(timeoutMs / (3 * Math.max(1, servers.length))),
      tries: 2,
    });
    if (this.#servers.length > 0) resolver.setServers(this.#servers);
    let late = false;
    const cancel = this.#clock.after(timeoutMs, () => {
      late = true;
      resolver.cancel();
    });
    try {
      const options = { ttl: true } as const;
      const answers = await Promise.allSettled([
        resolver.resolve4(name, options),
        resolver.resolve6(name, options),
      ]);
      return this.#conclude(name, answers, late);
    } finally {
      cancel();
    }
  }

  #conclude(
    name: string,
    answers: readonly PromiseSettledResult<{ address: string; ttl: number }[]>[],
    late: boolean,
  ): readonly string[] {
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (records.length > maxAnswers) {
      throw new ResolveError(
        'TooMany',
        `${name} has ${records.length} addresses; at most ${maxAnswers} are vetted`,
      );
    }
    const addresses = [...new Set(records.map((record) => normalAddress(record.address)))];
    if (addresses.length > 0) {
      this.#remember(name, addresses, Math.min(...records.map((record) => record.ttl)));
      return addresses;
    }
    const codes = answers.map((answer) =>
      answer.status === 'rejected' ? errorCode(answer.reason) : undefined,
    );
    if (codes.every((code) => code !== undefined && absent.has(code))) {
      throw new ResolveError(
        'NotFound',
        `${name} does not exist or has no address: check the host of the URL`,
      );
    }
    const failed = codes.find((code) => code !== undefined && !absent.has(code));
    const why =
      late || failed === 'ETIMEOUT'
        ? `no answer within ${timeoutMs / 1000} s`
        : failed === 'ECONNREFUSED'
          ? 'nothing answers at the DNS servers'
          : (failed ?? 'no answer');
    throw unresolved(name, why);
  }

  #remember(name: string, addresses: readonly string[], ttl: number): void {
    const seconds = Math.min(Math.max(ttl, shortestTtl), longestTtl);
    this.#cache.delete(name);
    this.#cache.set(name, { addresses, until: this.#clock.monotonic() + seconds * 1000 });
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= maxCached) break;
      this.#cache.delete(oldest);
    }
  }
}
