import { Registry } from 'prom-client';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createRunRoom } from '../../src/run/room.ts';
import type { Runner } from '../../src/run/runner.ts';
import { EventRecorder } from '../../src/store/event-recorder.ts';
import { Informers } from '../../src/store/informer.ts';
import type { ResourceStore } from '../../src/store/store.ts';

/** The run room at work on a store. */
export interface RunningEngine {
  readonly metrics: Registry;
  /** Stops it as SIGTERM would; programs go on. */
  stop(): Promise<void>;
}

export function startEngine(store: ResourceStore, runner: Runner, clock: Clock = systemClock): RunningEngine {
  const log = silentLogger;
  const metrics = new Registry();
  const informers = new Informers({ store, clock, log });
  const events = new EventRecorder(store, clock, log);
  const room = createRunRoom({ store, informers, events, clock, log, metrics }, { runner });
  const stopping = new AbortController();
  const done = Promise.all([room.run(stopping.signal), informers.run(stopping.signal)]);
  return {
    metrics,
    async stop() {
      stopping.abort();
      await done;
      await events.flush();
    },
  };
}
