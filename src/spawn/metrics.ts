import { Counter, Gauge, type Registry } from 'prom-client';

/** What spawning counts. Labels are bounded by the TaskSpawners: no Task, no sender and no event is one. */
export interface SpawnMetrics {
  /** `source`: the name of an event source, `cron`, or `unknown`. */
  event(source: string, outcome: string): void;
  taskCreated(namespace: string, taskspawner: string): void;
}

export function createSpawnMetrics(registry: Registry, queueDepth: () => number): SpawnMetrics {
  const events = new Counter({
    name: 'telos_events_total',
    help: 'Work items offered to TaskSpawners, by what became of them.',
    labelNames: ['source', 'outcome'] as const,
    registers: [registry],
  });
  const created = new Counter({
    name: 'telos_tasks_created_total',
    help: 'Tasks made, by TaskSpawner.',
    labelNames: ['namespace', 'taskspawner'] as const,
    registers: [registry],
  });
  new Gauge({
    name: 'telos_spawn_queue_depth',
    help: 'TaskSpawners that wait to be looked at.',
    registers: [registry],
    collect() {
      this.set(queueDepth());
    },
  });
  return {
    event: (source, outcome) => events.inc({ source, outcome }),
    taskCreated: (namespace, taskspawner) => created.inc({ namespace, taskspawner }),
  };
}
