import type { Clock } from '../../base/clock.ts';

/** Who we are to the API server, at one moment. */
export interface Credential {
  /** The Authorization header. */
  readonly authorization?: string | undefined;
  readonly clientCertificate?: ClientCertificate | undefined;
}

/** Certificate and key, as PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Where credentials come from: some are for ever, some are renewed. */
export interface Credentials {
  /** @throws StoreError `Unavailable` with the remedy */
  current(signal?: AbortSignal): Promise<Credential>;
  /** The server did not take it: the next `current` gets a new one. False when there is no other to be had. */
  renew(refused: Credential): boolean;
}

/** Credentials that never change. */
export function fixedCredentials(credential: Credential): Credentials {
  return { current: async () => credential, renew: () => false };
}

/** How long what was read from files is taken for current, in milliseconds. */
const reReadMs = 60_000;

/** Credentials read from files that somebody else may rewrite (a projected token is, every hour or so). */
export class FileCredentials implements Credentials {
  readonly #read: () => Promise<Credential>;
  readonly #clock: Clock;
  #last: Credential | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<Credential> | undefined;

  constructor(read: () => Promise<Credential>, clock: Clock) {
    this.#read = read;
    this.#clock = clock;
  }

  current(): Promise<Credential> {
    if (this.#last !== undefined && this.#clock.monotonic() - this.#readAt < reReadMs) {
      return Promise.resolve(this.#last);
    }
    this.#reading ??= this.#readAgain().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  renew(refused: Credential): boolean {
    if (this.#last === refused) this.#readAt = Number.NEGATIVE_INFINITY;
    return true;
  }

  async #readAgain(): Promise<Credential> {
    try {
      this.#last = await this.#read();
    } catch (thrown) {
      // A file that is just being replaced must not stop us: what was read last may still do.
      if (this.#last === undefined) throw thrown;
    }
    this.#readAt = this.#clock.monotonic();
    return this.#last;
  }
}

/** The Authorization header of a bearer token. */
export function bearer(token: string): string {
  return `Bearer ${token}`;
}

/** The Authorization header of a user name and password. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
