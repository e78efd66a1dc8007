import { type Clock, systemClock } from '../../src/base/clock.ts';
import { EgressGuard, type EgressRequest, type SendOutcome } from '../../src/egress/guard.ts';
import { type EgressOptions, parseEgressPolicy } from '../../src/egress/policy.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { type Receiver, type ReceiverOptions, startReceiver } from '../support/receiver.ts';

export const never = new AbortController().signal;

export interface Door {
  readonly guard: EgressGuard;
  /** Every `address:port` that was dialled. */
  readonly dials: readonly string[];
  post(url: string, request?: Partial<EgressRequest>, signal?: AbortSignal): Promise<SendOutcome>;
}

/** Guards, receivers and DNS servers of one test, closed together. */
export class House {
  readonly #closing: (() => Promise<void>)[] = [];

  async receiver(options: ReceiverOptions = {}): Promise<Receiver> {
    return this.#keep(await startReceiver(options));
  }

  async dns(): Promise<DnsServer> {
    return this.#keep(await startDnsServer());
  }

  /** A guard that lets 127.0.0.0/8 and ::1 pass unless it is told otherwise. */
  door(options: Partial<EgressOptions> = {}, clock: Clock = systemClock): Door {
    const dials: string[] = [];
    const policy = parseEgressPolicy({ allow: ['127.0.0.0/8', '::1'], deny: [], ...options });
    const guard = this.#keep(new EgressGuard(policy, { clock, onDial: (address) => dials.push(address) }));
    return {
      guard,
      dials,
      post: (url, request = {}, signal = never) =>
        guard.send({ url, headers: {}, body: '{}', timeoutMs: 10_000, ...request }, signal),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.splice(0).map((close) => close()));
  }

  onClose(close: () => Promise<void>): void {
    this.#closing.push(close);
  }

  #keep<T extends { close(): Promise<void> }>(closable: T): T {
    this.onClose(() => closable.close());
    return closable;
  }
}
