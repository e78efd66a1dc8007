import type { EgressGuard } from '../egress/guard.ts';
import type { Room, RoomDeps } from '../store/room.ts';
import type { ResourceStore } from '../store/store.ts';
import { Dispatcher, type DispatcherSettings } from './dispatcher.ts';
import { sayDoubtfulRuns } from './doubtful-runs.ts';
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
  /** Where those are removed that were kept long enough; false: nowhere. Default: the room's store. */
  readonly sweeps?: ResourceStore | false;
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
  /** Whether something of a namespace is to be told, perhaps for the last time. */
  owesAttempts(namespace: string): boolean;
}

export function createReportRoom(deps: RoomDeps, settings: ReportSettings): ReportRoom {
  const { backlogMs, lateOutputsMs = defaultLateOutputsMs, retentionMs = defaultRetention } = settings;
  const { store, clock, tenure } = deps;
  const { sweeps = store } = settings;
  const metrics = reportMetrics(deps.metrics);
  const firstSight = new FirstSight(clock);
  const secrets = new StoreSecrets(store, clock);
  const recorder = new Recorder(deps, { backlogMs, lateOutputsMs }, metrics, firstSight);
  const attempts = { guard: settings.guard, clock, tenure, secrets, templates: new TemplateCache() };
  sayDoubtfulRuns(deps);
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
    owesAttempts: (namespace) => dispatcher.owesAttempts(namespace),
    async run(signal) {
      await Promise.all([
        recorder.run(signal),
        dispatcher.run(signal),
        sweeps && sweepDeliveries({ ...deps, store: sweeps }, retentionMs, signal),
      ]);
    },
  };
}
