import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { activePhases } from './phase-counts.ts';

/** What the room counts. Labels are closed sets. */
export interface RunMetrics {
  readonly completed: Counter<'phase' | 'type'>;
  readonly durationSeconds: Histogram<'phase' | 'type'>;
}

export interface RunGauges {
  readonly running: () => number;
  readonly queueDepth: () => number;
  readonly inPhase: (phase: (typeof activePhases)[number]) => number;
}

/** Registers the metrics of the room; gauges ask when they are scraped. */
export function createRunMetrics(registry: Registry, gauges: RunGauges): RunMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  new Gauge({
    name: 'telos_tasks',
    help: 'Tasks that have not ended, by phase.',
    labelNames: ['phase'],
    registers,
    collect() {
      for (const phase of activePhases) this.set({ phase }, gauges.inPhase(phase));
    },
  });
  gauge('telos_tasks_running', 'Tasks whose program runs now.', gauges.running);
  gauge('telos_run_queue_depth', 'Tasks that wait for the Task controller.', gauges.queueDepth);
  return {
    completed: new Counter({
      name: 'telos_tasks_completed_total',
      help: 'Tasks that ended, by phase and type.',
      labelNames: ['phase', 'type'],
      registers,
    }),
    durationSeconds: new Histogram({
      name: 'telos_task_duration_seconds',
      help: 'Time the programs of Tasks ran.',
      labelNames: ['phase', 'type'],
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 43_200],
      registers,
    }),
  };
}
