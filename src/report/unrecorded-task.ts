import type { Task } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';

/** Annotations that mean something to Telos or Kelos begin so; kubectl's own may hold the whole Task once more. */
const readAnnotation = /^(kelos|telos)\.dev\//;

/**
 * As much of a Task as its recording reads. What it runs stays out: prompts may take 200 KB each, and many Tasks may
 * wait while nothing can be written.
 */
export function unrecordedTask(task: Task): Task {
  const { metadata, spec, status } = task;
  const { type, model } = effectiveWorker(spec);
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([name]) =>
    readAnnotation.test(name),
  );
  return {
    apiVersion: task.apiVersion,
    kind: task.kind,
    metadata: { ...metadata, annotations: Object.fromEntries(annotations) },
    spec: { ...(type !== undefined && { type }), ...(model !== undefined && { model }) },
    ...(status !== undefined && { status }),
  };
}
