import type { Fault } from '../../api/fault.ts';
import { isJsonObject, type JsonObject, jsonEqual } from '../../base/json.ts';

/** What the API server does to a Secret that is written: `stringData` goes into `data`, the type has a default. */
export function foldSecret(object: JsonObject): JsonObject {
  const { stringData, ...rest } = object;
  const folded: Record<string, unknown> = { ...rest, type: rest['type'] || 'Opaque' };
  if (!isJsonObject(stringData)) return stringData === undefined ? folded : { ...folded, stringData };
  const data: Record<string, unknown> = isJsonObject(rest['data']) ? { ...rest['data'] } : {};
  for (const [key, value] of Object.entries(stringData)) {
    // What is not a string is left for admission to refuse.
    data[key] = typeof value === 'string' ? Buffer.from(value, 'utf8').toString('base64') : value;
  }
  return { ...folded, data };
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Rules of the API server that are not in the schema. Values are never part of a fault. */
export function secretFaults(before: JsonObject | undefined, after: JsonObject): readonly Fault[] {
  const faults: Fault[] = [];
  for (const [key, value] of Object.entries(isJsonObject(after['data']) ? after['data'] : {})) {
    if (typeof value === 'string' && !base64.test(value)) {
      faults.push({ path: `data.${key}`, message: 'must be base64; write plain text into stringData' });
    }
  }
  if (before === undefined) return faults;
  if (before['type'] !== after['type']) faults.push({ path: 'type', message: 'cannot be changed' });
  if (before['immutable'] === true) {
    if (after['immutable'] !== true) faults.push({ path: 'immutable', message: 'cannot be taken back' });
    if (!jsonEqual(before['data'] ?? {}, after['data'] ?? {})) {
      faults.push({ path: 'data', message: 'cannot be changed: the Secret is immutable' });
    }
  }
  return faults;
}
