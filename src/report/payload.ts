import type { Payload } from '../api/delivery.ts';
import type { TerminalPhase } from '../api/hook.ts';
import { createdFromAnnotation, taskSpawnerLabel } from '../api/names.ts';
import type { Task } from '../api/task.ts';
import { effectiveWorker } from '../api/worker.ts';
import { clampUtf8, rfc3339 } from '../base/text.ts';
import { fitPayload } from './fit-payload.ts';
import { renderJson } from './formats/json.ts';

/** Bytes of UTF-8 that a message and one result value may have. */
const maxMessageBytes = 8 * 1024;
const maxValueBytes = 32 * 1024;

/** Bytes that a whole body of format json may have. */
export const maxBodyBytes = 256 * 1024;

/**
 * Bytes that a payload may take in etcd. It takes 1.5 MiB in all, in which hook, attempts and the API server's own
 * book-keeping must find room as well.
 */
const maxStoredBytes = 768 * 1024;
/** A character of one byte may take so many in etcd. */
const growth = 6;

/** The TaskSpawner that a Task came from. */
export function spawnerOf(task: Task): string | undefined {
  return (
    task.metadata.labels?.[taskSpawnerLabel] ||
    task.metadata.annotations?.[createdFromAnnotation] ||
    undefined
  );
}

/** What the hooks of a Task are told about its end in this phase. Bounded in size; `truncated` names what was cut. */
export function payloadOf(task: Task, phase: TerminalPhase): Payload {
  const { message, startTime, completionTime, outputs, results } = task.status ?? {};
  const { type, model } = effectiveWorker(task.spec);
  const cut: string[] = [];
  const clamp = (path: string, text: string | undefined, maxBytes: number): string | undefined => {
    if (text === undefined || text === '') return undefined;
    const clamped = clampUtf8(text, maxBytes);
    if (clamped !== text) cut.push(path);
    return clamped;
  };
  const payload: Payload = {
    task: task.metadata.name,
    namespace: task.metadata.namespace,
    spawner: clamp('spawner', spawnerOf(task), maxMessageBytes),
    phase,
    message: clamp('message', message, maxMessageBytes),
    agentType: type || undefined,
    model: clamp('model', model, maxMessageBytes),
    startTime: timeOf(startTime),
    completionTime: timeOf(completionTime),
    outputs: outputs?.length ? outputs : undefined,
    results: clampResults(results, clamp),
    truncated: cut.length > 0 ? cut : undefined,
  };
  if (isSmall(payload)) return payload;
  const fitting = fitPayload(payload, maxBodyBytes);
  return isStorable(fitting) ? fitting : fitPayload(payload, maxStoredBytes / growth);
}

/** Whether it is within all bounds whatever its characters take: true of nearly every payload, and found out quickly. */
function isSmall(payload: Payload): boolean {
  return JSON.stringify(payload).length * growth <= Math.min(maxBodyBytes, maxStoredBytes);
}

/** Whether it stays within bounds where the API server writes `<` as `\u003c`. */
function isStorable(payload: Payload): boolean {
  const json = renderJson(payload);
  const bytes = Buffer.byteLength(json);
  if (bytes * growth <= maxStoredBytes) return true;
  const escaped = json.match(/[<>&\u2028\u2029]/g)?.length ?? 0;
  return bytes + escaped * (growth - 1) <= maxStoredBytes;
}

function clampResults(
  results: Readonly<Record<string, string>> | undefined,
  clamp: (path: string, text: string, maxBytes: number) => string | undefined,
): Record<string, string> | undefined {
  const keys = Object.keys(results ?? {}).sort();
  if (results === undefined || keys.length === 0) return undefined;
  return Object.fromEntries(
    keys.map((key) => [key, clamp(`results.${key}`, results[key] ?? '', maxValueBytes) ?? '']),
  );
}

/** Whole seconds, UTC, whatever zone came in; what is no time is left out. */
function timeOf(time: string | undefined): string | undefined {
  const epochMs = Date.parse(time ?? '');
  return Number.isNaN(epochMs) ? undefined : rfc3339(epochMs);
}

/** The payload with the keys that are left out when empty. */
export function wholePayload(payload: Payload): Record<string, unknown> {
  return {
    task: payload.task,
    namespace: payload.namespace,
    spawner: payload.spawner ?? '',
    phase: payload.phase,
    message: payload.message ?? '',
    agentType: payload.agentType ?? '',
    model: payload.model ?? '',
    startTime: payload.startTime ?? '',
    completionTime: payload.completionTime ?? '',
    outputs: payload.outputs ?? [],
    results: payload.results ?? {},
    truncated: payload.truncated ?? [],
  };
}
