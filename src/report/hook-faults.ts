import { hooksAnnotationFaults } from '../api/hook-check.ts';
import { onCompletionAnnotation } from '../api/names.ts';
import type { Task } from '../api/task.ts';
import { clampUtf8 } from '../base/text.ts';
import { subjectOf } from '../store/event-recorder.ts';
import type { RoomDeps } from '../store/room.ts';

const maxMessageBytes = 1024;

/** Lists of hooks whose judgement is remembered: the Tasks of one TaskSpawner mostly have the same. */
const maxJudged = 64;

/**
 * Says by an Event what is wrong with the hooks of a Task while it may still be mended: where a Task comes from
 * somebody else, nobody asked Telos before it was made.
 */
export class HookFaults {
  readonly #events: RoomDeps['events'];
  readonly #judged = new Map<string, string>();

  constructor({ events }: Pick<RoomDeps, 'events'>) {
    this.#events = events;
  }

  say(task: Task): void {
    const text = task.metadata.annotations?.[onCompletionAnnotation];
    if (text === undefined) return;
    const message = this.#judge(text);
    if (message !== '') this.#events.record(subjectOf(task), 'Warning', 'InvalidHooks', message);
  }

  /** What is wrong with them, in one line; empty when nothing is. */
  #judge(text: string): string {
    let message = this.#judged.get(text);
    if (message === undefined) {
      const faults = hooksAnnotationFaults(text, ['metadata', 'annotations', onCompletionAnnotation]);
      message = clampUtf8(
        faults.map((fault) => `${fault.path}: ${fault.message}`).join('; '),
        maxMessageBytes,
      );
      if (this.#judged.size >= maxJudged) this.#judged.clear();
      this.#judged.set(text, message);
    }
    return message;
  }
}
