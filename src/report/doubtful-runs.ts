import { reportedPhaseAnnotation } from '../api/names.ts';
import type { EventSubject } from '../store/event-recorder.ts';
import { subjectOf } from '../store/event-recorder.ts';
import type { RoomDeps } from '../store/room.ts';
import { isRecordedInDoubt } from './decide-recording.ts';

/**
 * Says by an Event which Tasks may have ended anew untold: their times changed while nobody looked, and nothing says
 * whether they ran again. Once for each until it is resolved. Only before the informers run.
 */
export function sayDoubtfulRuns({ informers, events, log }: RoomDeps): void {
  informers.of('Task').view<EventSubject>({
    select: (task) => (isRecordedInDoubt(task) ? subjectOf(task) : undefined),
    onChange: ({ text, before, now }) => {
      if (before !== undefined || now === undefined) return;
      log.warn('a Task may have run again untold', { task: text });
      const message = `its times changed after its hooks were told, and it has no startTime to say whether it ran again: it is taken for the run that was told; if it ran again, tell them by: telos annotate task/${now.name} -n ${now.namespace} ${reportedPhaseAnnotation}- (or the same with kubectl)`;
      events.record(now, 'Warning', 'RunInDoubt', message);
    },
  });
}
