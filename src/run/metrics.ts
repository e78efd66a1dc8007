import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface RunMetrics {
  completed(labels: { phase: string; type: string }, seconds: number | undefined): void;
}

/** Registers what the room counts. The gauges ask when they are read. */
export function createRunMetrics(
  registry: Registry,
  now: { readonly running: () => number; readonly depth: () => number },
): RunMetrics {
  const registers = [registry];
  const completed = new Counter({
    name: 'telos_tasks_completed_total',
    help: 'Tasks that have ended.',
    labelNames: ['phase', 'type'],
    registers,
  });
  const duration = new Histogram({
    name: 'telos_task_duration_seconds',
    help: 'From the start of a run to its end.',
    labelNames: ['phase', 'type'],
    buckets: [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400],
    registers,
  });
  new Gauge({
    name: 'telos_tasks_running',
    help: 'Runs under way.',
    registers,
    collect() {
      this.set(now.running());
    },
  });
  new Gauge({
    name: 'telos_run_queue_depth',
    help: 'Tasks that wait to be looked at by run.',
    registers,
    collect() {
      this.set(now.depth());
    },
  });
  return {
    completed(labels, seconds) {
      completed.inc(labels);
      if (seconds !== undefined) duration.observe(labels, seconds);
    },
  };
}
