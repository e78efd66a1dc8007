import { Registry } from 'prom-client';
import type { Delivery } from '../../src/api/delivery.ts';
import type { Task } from '../../src/api/task.ts';
import type { Clock } from '../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import {
  createReportRoom,
  defaultBacklogMs,
  type ReportRoom,
  type ReportSettings,
} from '../../src/report/room.ts';
import { EventRecorder } from '../../src/store/event-recorder.ts';
import { Informers } from '../../src/store/informer.ts';
import type { Key, ResourceStore } from '../../src/store/store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryStore } from '../support/temporary-store.ts';
import { until } from '../support/until.ts';
import { Receiver } from './receiver.ts';

/** The report room at work on a store. */
export interface RunningRoom {
  readonly room: ReportRoom;
  readonly metrics: Registry;
  /** Stops it as SIGTERM would: what is under way ends and is written. */
  stop(): Promise<void>;
}

/** What a room is started with, and where it logs. */
type RoomSettings = Partial<ReportSettings> & { readonly log?: Logger };

/** Starts the room, and the informers it needs, on a store. */
export function startRoom(
  store: ResourceStore,
  guard: EgressGuard,
  clock: Clock,
  { log = silentLogger, ...settings }: RoomSettings = {},
): RunningRoom {
  const metrics = new Registry();
  const informers = new Informers({ store, clock, log });
  const events = new EventRecorder(store, clock, log);
  const room = createReportRoom(
    { store, informers, events, clock, log, metrics },
    { guard, hookSecrets: 'any', backlogMs: defaultBacklogMs, version: '0.0.0', ...settings },
  );
  const stopRoom = new AbortController();
  const stopInformers = new AbortController();
  const done = room.run(stopRoom.signal);
  const informed = informers.run(stopInformers.signal);
  return {
    room,
    metrics,
    async stop() {
      stopRoom.abort();
      await done;
      stopInformers.abort();
      await informed;
      await events.flush();
    },
  };
}

/** A store, receivers and a guard that reaches them, on a clock that stands still. */
export class House {
  readonly clock: ManualClock;
  readonly store: ResourceStore;
  readonly path: string;
  readonly guard: EgressGuard;
  readonly #certificate: Certificate;
  readonly #releases: (() => Promise<void>)[] = [];

  private constructor(
    clock: ManualClock,
    opened: Awaited<ReturnType<typeof temporaryStore>>,
    guard: EgressGuard,
    certificate: Certificate,
  ) {
    this.clock = clock;
    this.store = opened.store;
    this.path = opened.path;
    this.guard = guard;
    this.#certificate = certificate;
    this.#releases.push(
      () => opened.close(),
      () => guard.close(),
    );
  }

  static async open(): Promise<House> {
    const clock = new ManualClock();
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
    const policy = parseEgressPolicy({ allow: ['127.0.0.0/8'], deny: [], caPem: authority.certPem });
    return new House(clock, await temporaryStore({ clock }), new EgressGuard(policy, { clock }), certificate);
  }

  async receiver(): Promise<Receiver> {
    const receiver = await new Receiver(this.#certificate).listen();
    this.#releases.push(() => receiver.close());
    return receiver;
  }

  start(settings: RoomSettings = {}, store: ResourceStore = this.store): RunningRoom {
    const running = startRoom(store, this.guard, this.clock, settings);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= running.stop());
    this.#releases.push(stop);
    return { ...running, room: running.room, stop };
  }

  /** Writes a status, as run or Kelos would. */
  async setStatus(name: string, status: Record<string, unknown>): Promise<Task> {
    return this.store.patch('Task', { namespace: 'default', name }, { status }, { subresource: 'status' });
  }

  async task(name: string, condition: (task: Task) => boolean): Promise<Task> {
    return until(this.store, 'Task', { namespace: 'default', name }, condition);
  }

  /** The one Delivery of a hook, as soon as it is as wanted. */
  async delivery(hook: string, condition: (delivery: Delivery) => boolean = () => true): Promise<Delivery> {
    for await (const delivery of this.#deliveries()) {
      if (delivery.spec.hook.name === hook && condition(delivery)) return delivery;
    }
    throw new Error('the watch ended');
  }

  async deliveries(): Promise<readonly Delivery[]> {
    return (await this.store.list('Delivery')).items;
  }

  async *#deliveries(): AsyncIterable<Delivery> {
    const page = await this.store.list('Delivery');
    yield* page.items;
    for await (const event of this.store.watch('Delivery', { resourceVersion: page.resourceVersion }))
      if (event.type !== 'BOOKMARK' && event.type !== 'DELETED') yield event.resource;
  }

  /** Lets go of everything, the last first. */
  async close(): Promise<void> {
    for (const release of this.#releases.reverse()) await release();
  }
}

export const keyIn = (name: string): Key => ({ namespace: 'default', name });
