import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { type Connection, decideToRepeat, type Exchange, ExchangeError } from './connection.ts';
import { DialError } from './dial-error.ts';
import { Dialer, type Dialled } from './dialer.ts';
import { Http1Connection } from './http1-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import { Patience, TimedOut } from './patience.ts';
import type { EgressPolicy } from './policy.ts';
import { ConnectionPool } from './pool.ts';
import { headersFault } from './request-headers.ts';
import { ResolveError, Resolver, unresolved } from './resolver.ts';
import {
  allowedBy,
  type Judged,
  judgeAddresses,
  judgeUrl,
  type Refusal,
  type RefusalStage,
  type Target,
} from './target.ts';

/** What `telos egress check` says of a URL. */
export interface EgressVerdict {
  readonly url: string;
  readonly verdict: 'allowed' | 'refused';
  /** Where in the fixed order it was decided: when allowed, at the last step that there is for such a URL. */
  readonly stage: RefusalStage;
  /** One line. */
  readonly reason: string;
  /** What the name resolved to; the literal itself. */
  readonly addresses: readonly string[];
}

/** One POST. */
export interface EgressRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** For everything together: DNS, connecting, TLS, answer. Milliseconds. */
  readonly timeoutMs: number;
  /** Called right before each write of the request to a connection; what it throws ends the attempt. */
  readonly beforeWrite?: (() => void) | undefined;
}

/** Milliseconds. A connection that was open already has no DNS, connect and TLS part. */
export interface SendTimings {
  readonly durationMs: number;
  readonly dnsMs?: number | undefined;
  readonly connectMs?: number | undefined;
  readonly tlsMs?: number | undefined;
  readonly firstByteMs?: number | undefined;
}

/** What came of a POST. Messages show the origin at most, never a path, a query or a header. */
export type SendOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      /** At most the first 4 KiB. */
      readonly body: Uint8Array;
      readonly address: string;
      readonly timings: SendTimings;
    }
  /**
   * The policy said no, or a header may not be sent; no socket was opened. Stages `dns` and `header` may heal;
   * every other is final.
   */
  | {
      readonly kind: 'refused';
      readonly stage: RefusalStage | 'header';
      readonly message: string;
      readonly timings: SendTimings;
    }
  | {
      readonly kind: 'failed';
      readonly reason: 'DNS' | 'Connect' | 'TLS' | 'Reset' | 'Timeout' | 'Proxy';
      readonly message: string;
      readonly address?: string | undefined;
      readonly timings: SendTimings;
    };

export interface EgressDeps {
  readonly clock: Clock;
  /** Told `host:port` of each socket before it is opened, of the proxy's where there is one: what counts dials. */
  readonly onDial?: ((hostPort: string) => void) | undefined;
}

/** URLs whose judgement is remembered. */
const maxJudged = 4096;

type Phases = { dnsMs?: number; connectMs?: number; tlsMs?: number; firstByteMs?: number };

/**
 * The only way out for what a resource can aim: decides whether a connection may be made, and makes it.
 *
 * G1. Judgement goes in a fixed order: text, name, port, address; a name's addresses are vetted each time one
 *     of them is dialled.
 * G2. Only a vetted address is dialled, and a refusal opens no socket.
 * G3. Redirects, proxy variables, alternative services and authentication challenges are not followed.
 * G4. A message is sent once per attempt. Only where the receiver cannot have worked on it, because it was closing
 *     an idle connection or says so (HTTP/2), is it sent again, on a new connection.
 * G5. A connection carries one request at a time and lives 60 s at most. The policy of a guard never changes,
 *     so no connection outlives the policy that it was vetted by.
 */
export class EgressGuard {
  readonly #policy: EgressPolicy;
  readonly #clock: Clock;
  readonly #resolver: Resolver;
  readonly #dialer: Dialer;
  readonly #judged = new Map<string, Judged>();
  readonly #pool: ConnectionPool;

  constructor(policy: EgressPolicy, { clock, onDial = () => {} }: EgressDeps) {
    this.#policy = policy;
    this.#clock = clock;
    this.#pool = new ConnectionPool(clock);
    this.#resolver = new Resolver(policy.dnsServers, clock);
    this.#dialer = new Dialer({ proxy: policy.proxy, caPem: policy.caPem, clock, onDial });
  }

  /** Whether the text of a URL is enough to refuse it: asks nobody, connects nowhere. */
  refuses(url: string): boolean {
    return !this.#judge(url).ok;
  }

  /** Tells whether and where it would connect. Asks DNS at most; connects nowhere. */
  async check(url: string, signal: AbortSignal): Promise<EgressVerdict> {
    const judged = judgeUrl(url, this.#policy);
    if (!judged.ok) return refusedVerdict(url, judged.refusal, []);
    const { target } = judged;
    if (target.isLiteral) {
      const reason = `allowed: ${allowedBy(target, [target.host], this.#policy)}`;
      return { url, verdict: 'allowed', stage: 'address', reason, addresses: [target.host] };
    }
    try {
      const addresses = await this.#resolver.resolve(target.host, signal);
      const refusal = judgeAddresses(target, addresses, this.#policy);
      if (refusal !== undefined) return refusedVerdict(url, refusal, addresses);
      const reason = `allowed: ${allowedBy(target, addresses, this.#policy)}`;
      return { url, verdict: 'allowed', stage: 'dns', reason, addresses };
    } catch (thrown) {
      signal.throwIfAborted();
      const blocked = thrown instanceof ResolveError && thrown.code === 'TooMany' ? 'blocked: ' : '';
      return refusedVerdict(url, { stage: 'dns', reason: `${blocked}${toError(thrown).message}` }, []);
    }
  }

  /** One POST. Never throws for what receivers, networks and policy do. @throws the signal's reason when it aborts */
  async send(request: EgressRequest, signal: AbortSignal): Promise<SendOutcome> {
    const began = this.#clock.monotonic();
    const phases: Phases = {};
    const timings = (): SendTimings => ({ durationMs: this.#clock.monotonic() - began, ...phases });
    const judged = this.#judge(request.url);
    if (!judged.ok) return refusedOutcome(judged.refusal, timings());
    const fault = headersFault(request.headers);
    if (fault !== undefined) return refusedOutcome({ stage: 'header', reason: fault }, timings());
    const { target } = judged;
    if (signal.aborted) throw toError(signal.reason);
    const patience = new Patience(request.timeoutMs, signal, this.#clock);
    try {
      return await this.#exchange(target, request, patience, phases, timings);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return failure(thrown, target, request.timeoutMs, timings());
    } finally {
      patience.dispose();
    }
  }

  /** Closes every connection. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  #judge(url: string): Judged {
    let judged = this.#judged.get(url);
    if (judged === undefined) {
      judged = judgeUrl(url, this.#policy);
      // A refused text may be of any length.
      if (!judged.ok) return judged;
      if (this.#judged.size >= maxJudged) this.#judged.clear();
      this.#judged.set(url, judged);
    }
    return judged;
  }

  async #exchange(
    target: Target,
    request: EgressRequest,
    patience: Patience,
    phases: Phases,
    timings: () => SendTimings,
  ): Promise<SendOutcome> {
    const { headers, body, beforeWrite } = request;
    const exchange = { path: target.path, headers, body, beforeWrite };
    const reused = this.#pool.take(target.origin);
    if (reused !== undefined) {
      const handedOverAt = this.#clock.monotonic();
      try {
        return await this.#post(reused, exchange, patience, phases, timings);
      } catch (thrown) {
        // The other side may close an idle connection in the very moment that it is used again.
        if (this.#pool.isClosed || !(thrown instanceof ExchangeError)) throw thrown;
        if (!decideToRepeat(thrown, this.#clock.monotonic() - handedOverAt)) throw thrown;
      }
    }
    const connected = await this.#connect(target, patience, phases);
    if ('stage' in connected) return refusedOutcome(connected, timings());
    return this.#post(connected, exchange, patience, phases, timings);
  }

  async #connect(target: Target, patience: Patience, phases: Phases): Promise<Connection | Refusal> {
    const before = this.#clock.monotonic();
    const addresses = target.isLiteral ? [target.host] : await this.#resolve(target.host, patience);
    if (!target.isLiteral) {
      phases.dnsMs = this.#clock.monotonic() - before;
      const refusal = judgeAddresses(target, addresses, this.#policy);
      if (refusal !== undefined) return refusal;
    }
    const dialled = await this.#dialer.dial(target, addresses, patience);
    phases.connectMs = dialled.connectMs;
    phases.tlsMs = dialled.tlsMs;
    return this.#open(dialled, target);
  }

  /** Time that is up while a name is asked for is a fault of DNS, not of the receiver. */
  async #resolve(name: string, patience: Patience): Promise<readonly string[]> {
    try {
      return await this.#resolver.resolve(name, patience.signal);
    } catch (thrown) {
      throw thrown instanceof TimedOut
        ? unresolved(name, 'no answer within the time of the attempt')
        : thrown;
    }
  }

  #open({ socket, address }: Dialled, target: Target): Connection {
    const Protocol = socket.alpnProtocol === 'h2' ? Http2Connection : Http1Connection;
    const connection: Connection = new Protocol(socket, target, address, this.#clock.monotonic(), () =>
      this.#pool.forget(connection),
    );
    this.#pool.add(connection);
    return connection;
  }

  async #post(
    connection: Connection,
    exchange: Exchange & Pick<EgressRequest, 'beforeWrite'>,
    patience: Patience,
    phases: Phases,
    timings: () => SendTimings,
  ): Promise<SendOutcome> {
    try {
      exchange.beforeWrite?.();
    } catch (thrown) {
      void connection.destroy();
      throw thrown;
    }
    const sentAt = this.#clock.monotonic();
    const answer = await connection.post(exchange, patience, () => this.#clock.monotonic());
    phases.firstByteMs = answer.firstByteAt - sentAt;
    this.#pool.giveBack(connection);
    const { status, headers, body } = answer;
    return { kind: 'answered', status, headers, body, address: connection.address, timings: timings() };
  }
}

function refusedVerdict(url: string, refusal: Refusal, addresses: readonly string[]): EgressVerdict {
  return { url, verdict: 'refused', stage: refusal.stage, reason: refusal.reason, addresses };
}

function refusedOutcome(
  { stage, reason }: { readonly stage: RefusalStage | 'header'; readonly reason: string },
  timings: SendTimings,
): SendOutcome {
  return { kind: 'refused', stage, message: reason, timings };
}

function failure(thrown: unknown, target: Target, timeoutMs: number, timings: SendTimings): SendOutcome {
  const failed = (
    reason: (SendOutcome & { kind: 'failed' })['reason'],
    message: string,
    address?: string,
  ): SendOutcome => ({
    kind: 'failed',
    reason,
    message,
    timings,
    ...(address === undefined ? {} : { address }),
  });
  if (thrown instanceof TimedOut)
    return failed('Timeout', `${target.origin} did not answer within ${timeoutMs} ms`);
  if (thrown instanceof DialError) return failed(thrown.code, thrown.message, thrown.address);
  if (thrown instanceof ResolveError) {
    if (thrown.code !== 'TooMany') return failed('DNS', thrown.message);
    return { kind: 'refused', stage: 'dns', message: `blocked: ${thrown.message}`, timings };
  }
  const error = toError(thrown);
  return failed(
    'Reset',
    `${target.origin}: ${error instanceof ExchangeError ? error.message : `the connection broke (${error.name})`}`,
  );
}
