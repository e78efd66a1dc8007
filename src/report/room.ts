import type { EgressGuard } from '../egress/guard.ts';
import type { Room, RoomDeps } from '../store/room.ts';
import { Dispatcher, type DispatcherSettings } from './dispatcher.ts';
import { FirstSight } from './first-sight.ts';
import { TemplateCache } from './formats/template.ts';
import { reportGauges, reportMetrics } from './metrics.ts';
import { Recorder } from './recorder.ts';
import { defaultRetention, type Retention, sweepDeliveries } from './retention.ts';
import { StoreSecrets } from './secrets.ts';

export interface ReportSettings extends DispatcherSettings {
  readonly guard: EgressGuard;
  /** Completions older than this when first seen are Skipped, reason Expired. Milliseconds. */
  readonly backlogMs: number;
  /** How long settled Deliveries are kept. Default: 7 days, Failed ones 30. */
  readonly retentionMs?: Retention | undefined;
  /** The longest wait for outputs that Kelos writes after the phase. Default: 35 s. */
  readonly lateOutputsMs?: number;
}

export const defaultBacklogMs = 24 * 3_600_000;
const defaultLateOutputsMs = 35_000;

/** The room that tells the world: outcomes become Deliveries, Deliveries become POSTs. */
export interface ReportRoom extends Room {
  /** Whether every Task that had ended unrecorded when the room started is recorded, or has failed to be once. */
  readonly caughtUp: boolean;
  /** Resolves as soon as it is. @throws the signal's reason when it aborts first */
  untilCaughtUp(signal: AbortSignal): Promise<void>;
}

export function createReportRoom(deps: RoomDeps, settings: ReportSettings): ReportRoom {
  const { backlogMs, lateOutputsMs = defaultLateOutputsMs, retentionMs = defaultRetention } = settings;
  const { store, clock } = deps;
  const metrics = reportMetrics(deps.metrics);
  const firstSight = new FirstSight(clock);
  const secrets = new StoreSecrets(store, clock);
  const recorder = new Recorder(deps, { backlogMs, lateOutputsMs }, metrics, firstSight);
  const attempts = { guard: settings.guard, clock, secrets, templates: new TemplateCache() };
  const dispatcher = new Dispatcher(deps, settings, attempts, metrics, firstSight);
  reportGauges(deps.metrics, {
    pendingDeliveries: () => dispatcher.pending,
    dueDeliveries: () => dispatcher.waiting,
    sickOrigins: () => dispatcher.sickOrigins,
    attemptsUnderWay: () => dispatcher.underWay,
    recorderDepth: () => recorder.depth,
    recorderUnrecorded: () => recorder.unrecorded,
    oldestUnrecordedSeconds: () => recorder.oldestUnrecordedSeconds,
  });
  return {
    get caughtUp() {
      return recorder.caughtUp;
    },
    untilCaughtUp: (signal) => recorder.untilCaughtUp(signal),
    async run(signal) {
      await Promise.all([
        recorder.run(signal),
        dispatcher.run(signal),
        sweepDeliveries(deps, retentionMs, signal),
      ]);
    },
  };
}
