import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What became of a Delivery whose namespace took it along before it was settled. */
export type LastOutcome =
  /** Its last attempt was answered 2xx. */
  | 'delivered'
  /** It was not, or nothing could be sent. */
  | 'failed'
  /** It was not to be sent at all, says its filter. */
  | 'skipped'
  /** An attempt was under way already, and was the last one. */
  | 'underWay'
  /** Time was too short for an attempt. */
  | 'unsent';

/** What the room counts. Labels are closed sets: never a name, never a URL. */
export interface ReportMetrics {
  readonly settled: Counter<'phase' | 'reason'>;
  readonly attempts: Counter<'reason'>;
  readonly attemptSeconds: Histogram;
  readonly phaseToPostSeconds: Histogram;
  readonly recorderErrors: Counter;
  readonly statusErrors: Counter;
  readonly goneWithNamespace: Counter<'outcome'>;
}

/** The values that are read off when somebody asks. */
export interface ReportGauges {
  readonly pendingDeliveries: () => number;
  readonly dueDeliveries: () => number;
  readonly sickOrigins: () => number;
  readonly attemptsUnderWay: () => number;
  readonly recorderDepth: () => number;
  readonly recorderUnrecorded: () => number;
  readonly oldestUnrecordedSeconds: () => number;
}

/** Registers the metrics of the room. */
export function reportMetrics(registry: Registry): ReportMetrics {
  const registers = [registry];
  return {
    settled: new Counter({
      name: 'telos_deliveries_total',
      help: 'Deliveries that settled, by phase and reason.',
      labelNames: ['phase', 'reason'],
      registers,
    }),
    attempts: new Counter({
      name: 'telos_delivery_attempts_total',
      help: 'Attempts at Deliveries, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    attemptSeconds: new Histogram({
      name: 'telos_delivery_attempt_seconds',
      help: 'Time one attempt took, from handing over the POST to its outcome.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    phaseToPostSeconds: new Histogram({
      name: 'telos_phase_to_post_seconds',
      help: 'Time from seeing a terminal phase to handing over the POST, first attempts only.',
      buckets: [0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
      registers,
    }),
    recorderErrors: new Counter({
      name: 'telos_recorder_errors_total',
      help: 'Times that recording a completion failed and was put off.',
      registers,
    }),
    statusErrors: new Counter({
      name: 'telos_delivery_status_errors_total',
      help: 'Times that writing the status of a Delivery failed and was tried again.',
      registers,
    }),
    goneWithNamespace: new Counter({
      name: 'telos_deliveries_gone_with_namespace_total',
      help: 'Deliveries that were not settled when their namespace was deleted, by what their last attempt came to.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}

/** Registers the gauges, which ask when they are scraped. */
export function reportGauges(registry: Registry, gauges: ReportGauges): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge('telos_deliveries_pending', 'Deliveries that are not settled.', gauges.pendingDeliveries);
  gauge(
    'telos_deliveries_due',
    'Deliveries that are due and wait for their turn, or for their origin.',
    gauges.dueDeliveries,
  );
  gauge(
    'telos_origins_left_alone',
    'Origins that failed again and again, and are left alone but for a probe.',
    gauges.sickOrigins,
  );
  gauge('telos_delivery_attempts_under_way', 'Attempts under way now.', gauges.attemptsUnderWay);
  gauge('telos_recorder_queue_depth', 'Tasks that wait for the recorder.', gauges.recorderDepth);
  gauge('telos_recorder_unrecorded', 'Tasks that need the recorder.', gauges.recorderUnrecorded);
  gauge(
    'telos_recorder_oldest_unrecorded_seconds',
    'Time since the terminal phase was seen that has waited longest to be recorded.',
    gauges.oldestUnrecordedSeconds,
  );
}
