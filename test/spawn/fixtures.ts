import { Registry } from 'prom-client';
import type { Draft, Resource } from '../../src/api/kinds.ts';
import type { TaskSpawner, TaskSpawnerSpec } from '../../src/api/task-spawner.ts';
import type { Clock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createSpawnRoom, type SpawnRoom } from '../../src/spawn/room.ts';
import { EventRecorder } from '../../src/store/event-recorder.ts';
import { Informers } from '../../src/store/informer.ts';
import type { ResourceStore } from '../../src/store/store.ts';

/** A program that takes its prompt from the event, listening to source `ci`. */
export const webhookSpec: TaskSpawnerSpec = {
  when: { webhook: { source: 'ci', fieldMapping: { id: '$.id', title: '$.title' } } },
  taskTemplate: { type: 'command', command: ['echo', '{{.title}}'] },
};

export function cronSpec(schedule: string): TaskSpawnerSpec {
  return {
    when: { cron: { schedule } },
    taskTemplate: { type: 'command', command: ['echo', '{{.Time}}'] },
  };
}

export function spawnerDraft(
  name: string,
  spec: TaskSpawnerSpec = webhookSpec,
  namespace = 'default',
): Draft<'TaskSpawner'> {
  return { apiVersion: 'kelos.dev/v1alpha2', kind: 'TaskSpawner', metadata: { name, namespace }, spec };
}

/** A TaskSpawner as a store would give it, for tests without one. */
export function storedSpawner(
  spec: TaskSpawnerSpec = webhookSpec,
  status?: TaskSpawner['status'],
): TaskSpawner {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'TaskSpawner',
    metadata: {
      name: 's',
      namespace: 'default',
      uid: 'uid-of-s',
      resourceVersion: '7',
      generation: 1,
      creationTimestamp: '2026-01-02T00:00:00Z',
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

export interface RunningSpawn {
  readonly room: SpawnRoom;
  readonly metrics: Registry;
  /** Sends an event; a payload that is not bytes goes as JSON. */
  send(source: string, payload: unknown, headers?: Record<string, string>): ReturnType<SpawnRoom['ingest']>;
  /** Ends the room as a shutdown does, and resolves when nothing of it is under way. */
  stop(): Promise<void>;
}

/** The spawn room over a store, running until it is stopped. */
export function startSpawn(store: ResourceStore, clock: Clock): RunningSpawn {
  const log = silentLogger;
  const metrics = new Registry();
  const informers = new Informers({ store, clock, log });
  const events = new EventRecorder(store, clock, log);
  const room = createSpawnRoom({ store, informers, events, clock, log, metrics });
  const controller = new AbortController();
  const { signal } = controller;
  const running = Promise.all([informers.run(signal), room.run(signal)]);
  return {
    room,
    metrics,
    send: (source, payload, headers = {}) =>
      room.ingest(
        {
          source,
          headers: new Headers(headers),
          body: payload instanceof Uint8Array ? payload : Buffer.from(JSON.stringify(payload)),
        },
        // As every request has one of its own.
        AbortSignal.any([signal]),
      ),
    async stop() {
      controller.abort();
      await running;
      await events.flush();
    },
  };
}

/** Every Task of a namespace, in the order of their numbers. */
export async function tasksOf(store: ResourceStore, namespace = 'default'): Promise<Resource<'Task'>[]> {
  const { items } = await store.list('Task', { namespace });
  return [...items].sort((a, b) => numberOf(a) - numberOf(b));
}

export function numberOf(task: Resource<'Task'>): number {
  return Number(task.metadata.annotations?.['telos.dev/task-number']);
}

/** Ends a Task as its runner would. */
export async function complete(
  store: ResourceStore,
  task: Resource<'Task'>,
  phase: 'Succeeded' | 'Failed' = 'Succeeded',
): Promise<void> {
  await store.patch('Task', task.metadata, { status: { phase } }, { subresource: 'status' });
}
