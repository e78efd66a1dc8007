import type { Delivery } from '../../api/delivery.ts';
import { createdFromAnnotation, onCompletionAnnotation, taskSpawnerLabel } from '../../api/names.ts';
import type { Task } from '../../api/task.ts';
import { effectiveWorker } from '../../api/worker.ts';
import { formatDuration } from '../../base/duration.ts';
import { clampUtf8 } from '../../base/text.ts';
import { attemptText, deliveryLine, originOf } from './describe-delivery.ts';
import type { Outline } from './outline.ts';

/** How much of a long text is shown. */
const shownBytes = 2048;

/** What a Task is to do, what came of it, and who was told. */
export function describeTask(
  task: Task,
  deliveries: readonly Delivery[],
  outline: Outline,
  nowMs: number,
): void {
  const { spec, status = {}, metadata } = task;
  const { type, model } = effectiveWorker(spec);
  outline.fields([
    ['Phase', status.phase || 'Pending'],
    ['Message', status.message],
    ['Spawner', metadata.labels?.[taskSpawnerLabel] ?? metadata.annotations?.[createdFromAnnotation]],
    ['Type', type],
    ['Model', model],
    [
      'Command',
      spec.command?.map((part) => (/^[\w./:=@%+,-]+$/.test(part) ? part : JSON.stringify(part))).join(' '),
    ],
    ['Prompt', spec.prompt === undefined ? undefined : shortened(spec.prompt)],
    ['Suspended', spec.suspend],
    ['Depends on', spec.dependsOn?.join(', ')],
    ['Started', status.startTime],
    ['Ended', status.completionTime],
    ['Took', duration(task, nowMs)],
  ]);
  outline.section('Outputs', (status.outputs ?? []).map(shortened));
  outline.section(
    'Results',
    Object.entries(status.results ?? {}).map(([key, value]) => `${key}: ${shortened(value)}`),
  );
  outline.section('Hooks', hookLines(metadata.annotations?.[onCompletionAnnotation]));
  outline.section(
    'Deliveries',
    deliveries.flatMap((delivery) => [
      deliveryLine(delivery, nowMs),
      ...(delivery.status?.attempts ?? []).map((attempt) => `  ${attemptText(attempt)}`),
    ]),
  );
}

function shortened(text: string): string {
  const cut = clampUtf8(text, shownBytes);
  return cut === text ? text : `${cut}… (${Buffer.byteLength(text)} bytes)`;
}

function duration({ status = {} }: Task, nowMs: number): string | undefined {
  if (status.startTime === undefined) return undefined;
  const end = status.completionTime === undefined ? nowMs : Date.parse(status.completionTime);
  return formatDuration(end - Date.parse(status.startTime));
}

/** Each hook by its name, phases and origin; the annotation as it stands may hold URLs that are credentials. */
function hookLines(annotation: string | undefined): string[] {
  if (annotation === undefined) return [];
  try {
    const hooks: unknown = JSON.parse(annotation);
    if (Array.isArray(hooks)) return hooks.map(hookLine);
  } catch {
    // Said below.
  }
  return [`annotation ${onCompletionAnnotation} cannot be read: write the hooks as a JSON array`];
}

interface LooseHook {
  readonly name?: unknown;
  readonly phases?: unknown;
  readonly webhook?: { readonly url?: unknown; readonly urlFrom?: unknown } | null;
}

function hookLine(hook: LooseHook | null): string {
  const phases =
    Array.isArray(hook?.phases) && hook.phases.length > 0 ? hook.phases.join(', ') : 'both phases';
  const target = hook?.webhook?.urlFrom === undefined ? originOf(hook?.webhook?.url) : 'the URL in a Secret';
  return `${String(hook?.name ?? '(no name)')}: ${phases}${target === undefined ? '' : ` to ${target}`}`;
}
