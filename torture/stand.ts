import type { Clock } from '../src/base/clock.ts';
import type { ResourceStore } from '../src/store/store.ts';
import type { EngineProcess, EngineStart } from './engine-process.ts';
import type { Reason } from './roles.ts';

/** What is tortured: a store, and engines over it, each in a process of its own. */
export interface Stand {
  /** The clock of the engines. */
  readonly clock: Clock;
  /** The store as another program has it open, while engines come and go. It is not in trouble when they are. */
  readonly store: ResourceStore;
  /** The store as `--store` takes it, and what `telos` needs in its environment to find it. */
  readonly storeName: string;
  readonly env: Readonly<Record<string, string>>;
  /** How engines side by side share the work; undefined: there is one at a time. */
  readonly sharing: Sharing | undefined;
  startEngine(start: EngineStart): EngineProcess;
  /** What happens to the store besides, from now on until it is stopped. Undefined: nothing. */
  readonly trouble: Trouble | undefined;
  close(): Promise<void>;
}

/** How replicas divide the work. */
export interface Sharing {
  readonly shards: number;
  /** How long a Lease lasts. Real milliseconds. */
  readonly leaseMs: number;
}

/** What happens to a store while engines are killed over it. */
export interface Trouble {
  begin(): void;
  /** Resolves when everything that belongs to it has happened at least once, and the store is well. */
  stop(): Promise<void>;
  /** Does something while the store is well. */
  undisturbed<T>(work: () => Promise<T>): Promise<T>;
  /** What may become of any attempt because of it. */
  readonly attempts: readonly Reason[];
  /** What has happened, and how often. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface StandOptions {
  /** For the store and what engines are given; empty. */
  readonly folder: string;
  /** What engines trust receivers by. */
  readonly caFile: string;
  readonly seed: string;
  /** How many times engines will be killed. */
  readonly kills: number;
}

/** The only address that the engines may connect to. */
export const receiverAddress = '127.0.0.1';
