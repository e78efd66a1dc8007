import type { Clock } from '../base/clock.ts';
import type { Connection } from './connection.ts';

/** Connections live at most so long. */
export const maxLifeMs = 60_000;
/** Idle connections kept, over all origins; the one that is idle longest goes first. */
const maxIdle = 256;

/**
 * Every open connection, and those of them that carry nothing now. An idle one is closed as soon as it is 60 s
 * old, is the other side's or is one too many.
 */
export class ConnectionPool {
  readonly #clock: Clock;
  /** With what stops the timer that ends its life. */
  readonly #open = new Map<Connection, () => void>();
  /** By origin; the one used last is taken first. */
  readonly #idleByOrigin = new Map<string, Connection[]>();
  /** The one idle longest first. */
  readonly #idle = new Set<Connection>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Must be called for every connection that is opened. */
  add(connection: Connection): void {
    const cancel = this.#clock.after(maxLifeMs, () => {
      if (this.#idle.has(connection)) void connection.destroy();
    });
    this.#open.set(connection, cancel);
    if (this.#isClosed) void connection.destroy();
  }

  /** Must be called when a connection has closed. */
  forget(connection: Connection): void {
    this.#open.get(connection)?.();
    this.#open.delete(connection);
    const { origin } = connection.target;
    const idle = this.#idleByOrigin.get(origin);
    if (this.#idle.delete(connection)) idle?.splice(idle.indexOf(connection), 1);
    if (idle?.length === 0) this.#idleByOrigin.delete(origin);
  }

  /** An open connection to the origin that carries nothing, if there is one. */
  take(origin: string): Connection | undefined {
    const idle = this.#idleByOrigin.get(origin);
    for (let connection = idle?.pop(); connection !== undefined; connection = idle?.pop()) {
      this.#idle.delete(connection);
      if (connection.isOpen && !this.#isOld(connection)) return connection;
      void connection.destroy();
    }
    return undefined;
  }

  /** The connection carries nothing any more. */
  giveBack(connection: Connection): void {
    if (this.#isClosed || !connection.isOpen || this.#isOld(connection)) {
      void connection.destroy();
      return;
    }
    const { origin } = connection.target;
    const idle = this.#idleByOrigin.get(origin);
    if (idle === undefined) this.#idleByOrigin.set(origin, [connection]);
    else idle.push(connection);
    this.#idle.add(connection);
    if (this.#idle.size <= maxIdle) return;
    for (const oldest of this.#idle) {
      void oldest.destroy();
      break;
    }
  }

  /** Closes every connection, those under way too. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.keys()].map((connection) => connection.destroy()));
  }

  #isOld(connection: Connection): boolean {
    return this.#clock.monotonic() - connection.openedAt >= maxLifeMs;
  }
}
