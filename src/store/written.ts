import { type Kind, kindNames, kinds } from '../api/kinds.ts';
import type { ObjectMeta } from '../api/meta.ts';
import { isJsonObject, type JsonObject } from '../base/json.ts';
import { StoreError } from './errors.ts';
import { invalid } from './refusals.ts';

/** What somebody handed over as JSON text: later changes to it do not matter. @throws StoreError `Invalid` */
export function toJsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (thrown) {
    throw new StoreError('Invalid', 'the resource is not JSON (a cycle or a bigint is in it)', {
      cause: thrown,
      faults: [{ path: '', message: 'is not JSON' }],
    });
  }
}

/** The object that a text of `toJsonText` holds. @throws StoreError `Invalid` when it holds something else */
export function parseObject(text: string): JsonObject {
  const value: unknown = JSON.parse(text);
  if (!isJsonObject(value)) throw invalid('', 'a resource is an object');
  return value;
}

/** Copies what somebody handed over into plain JSON. @throws StoreError `Invalid` */
export function plainJson(value: unknown): JsonObject {
  return parseObject(toJsonText(value));
}

/** The kind of a written resource. @throws StoreError `Invalid` when there is no such kind. */
export function writtenKind(object: JsonObject): Kind {
  const { kind } = object;
  if (typeof kind === 'string' && Object.hasOwn(kinds, kind)) return kind as Kind;
  throw invalid('kind', `${JSON.stringify(kind)} is not a kind (${kindNames.join(', ')})`);
}

/** What the store itself reads of written metadata, before admission has seen it. */
const texts = ['name', 'generateName', 'namespace', 'uid', 'resourceVersion'] as const;

/**
 * Metadata as somebody wrote it. Null counts as absent. Collections are looked at by admission, not here.
 * @throws StoreError `Invalid` when a name or version is not text.
 */
export function writtenMetadata(object: JsonObject): ObjectMeta {
  const { metadata } = object;
  if (!isJsonObject(metadata)) throw invalid('metadata', 'must be an object with at least a name');
  const written = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
  for (const field of texts) {
    if (written[field] !== undefined && typeof written[field] !== 'string') {
      throw invalid(`metadata.${field}`, 'must be a string');
    }
  }
  return written;
}
