import { nearest } from '../base/nearest.ts';
import { escapeControls } from '../base/text.ts';
import { admit } from './admission.ts';
import type { Fault } from './fault.ts';
import { type FieldPath, parseFieldPath } from './field-path.ts';
import { filterFaults, hooksAnnotationFaults } from './hook-check.ts';
import { type Draft, findKind, type Kind, kindNames } from './kinds.ts';
import { onCompletionAnnotation } from './names.ts';
import { type Position, readYaml, type YamlDocument, type YamlFault } from './yaml-source.ts';

/** Largest manifest file, in bytes. */
const maxBytes = 4 * 1024 * 1024;

/** One resource of a manifest file, as it was written. */
export interface ManifestDocument {
  readonly file: string;
  /** Which resource of the file it is, counted from 0. */
  readonly index: number;
  readonly object: Record<string, unknown>;
  /** Where a field (`spec.when.cron`) stands, or the nearest field above it that is there; from 1. */
  locate(path: string): Position;
}

/** A fault with its place. Line and column count from 1; line 0: the file as a whole. */
export interface ManifestFault extends Fault, Position {
  readonly file: string;
}

/**
 * Reads the resources of a manifest: YAML 1.2 or JSON, several documents, Lists taken apart. Bounded, and
 * never throws: what cannot be read becomes a fault.
 */
export function parseManifests(
  text: string | Uint8Array,
  file: string,
): { readonly documents: readonly ManifestDocument[]; readonly faults: readonly ManifestFault[] } {
  const source = readText(text);
  if (typeof source !== 'string') return { documents: [], faults: [{ ...source, file }] };
  const { documents: found, faults } = readYaml(source);
  const all: ManifestFault[] = faults.map((fault) => ({ ...fault, file }));
  if (found.length === 0 && faults.length === 0) {
    all.push({
      ...wholeFile,
      file,
      message: 'holds no resource: write at least apiVersion, kind and metadata',
    });
  }
  const documents: ManifestDocument[] = [];
  for (const document of found) {
    for (const part of expandList(document, [])) {
      const object = part.value;
      if (isMapping(object)) {
        const locate = (path: string): Position => document.locate([...part.path, ...parseFieldPath(path)]);
        documents.push({ file, index: documents.length, object, locate });
      } else {
        const message = 'must be a mapping with apiVersion, kind and metadata';
        all.push({ file, path: '', ...document.locate(part.path), message });
      }
    }
  }
  return { documents, faults: all };
}

/**
 * Judges one resource of a manifest as a store would, but refuses unknown fields. The draft is there when there
 * are no faults; the kind when it is known.
 */
export function checkManifest(document: ManifestDocument): {
  readonly kind: Kind | undefined;
  readonly draft: Draft | undefined;
  readonly faults: readonly ManifestFault[];
} {
  const known = kindOf(document.object);
  if (known.kind === undefined)
    return { ...known, draft: undefined, faults: locateAll(document, known.faults) };
  const { kind } = known;
  const admission = admit(kind, document.object, { part: 'main', unknownFields: 'refuse' });
  const draft = admission.object as unknown as Draft;
  // What a store takes may still be a mistake that only shows when a Task ends.
  const faults = admission.faults.length > 0 ? admission.faults : manifestHookFaults(draft);
  return { kind, draft: faults.length === 0 ? draft : undefined, faults: locateAll(document, faults) };
}

/** Judges hooks beyond what a schema can say: filters, and those that stand as JSON in an annotation. */
function manifestHookFaults(draft: Draft): readonly Fault[] {
  if (draft.kind === 'Task') return annotationFaults(draft.metadata.annotations, ['metadata']);
  if (draft.kind !== 'TaskSpawner') return [];
  const { onCompletion, taskTemplate } = draft.spec;
  const annotations = taskTemplate.metadata?.annotations;
  // A template is not JSON before it is rendered.
  const isTemplate = annotations?.[onCompletionAnnotation]?.includes('{{') === true;
  return [
    ...(onCompletion === undefined
      ? []
      : filterFaults(onCompletion.hooks, ['spec', 'onCompletion', 'hooks'])),
    ...(isTemplate ? [] : annotationFaults(annotations, ['spec', 'taskTemplate', 'metadata'])),
  ];
}

function annotationFaults(
  annotations: Readonly<Record<string, string>> | undefined,
  parent: FieldPath,
): readonly Fault[] {
  const text = annotations?.[onCompletionAnnotation];
  if (text === undefined) return [];
  return hooksAnnotationFaults(text, [...parent, 'annotations', onCompletionAnnotation]);
}

/** A fault as one line: `file:line:column: path: message`. */
export function formatFault(fault: ManifestFault): string {
  const place = fault.line === 0 ? fault.file : `${fault.file}:${fault.line}:${fault.column}`;
  return escapeControls([place, ...(fault.path === '' ? [] : [fault.path]), fault.message].join(': '));
}

const wholeFile = { path: '', line: 0, column: 0 } as const;

/** The text, if it is text and not too much of it. */
function readText(text: string | Uint8Array): string | YamlFault {
  const bytes = typeof text === 'string' ? Buffer.byteLength(text) : text.byteLength;
  if (bytes > maxBytes) {
    return {
      ...wholeFile,
      message: `is ${mebibytes(bytes)}; manifests may be ${maxBytes / 1024 / 1024} MiB at most`,
    };
  }
  const decoded = typeof text === 'string' ? text.replace(/^\uFEFF/, '') : decodeUtf8(text);
  if (decoded === undefined)
    return { ...wholeFile, message: 'is not UTF-8 text: a manifest is YAML or JSON' };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
  const control = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.exec(decoded);
  if (control === null) return decoded;
  const before = decoded.slice(0, control.index).split('\n');
  const code = control[0].charCodeAt(0).toString(16).padStart(2, '0');
  return {
    path: '',
    line: before.length,
    column: (before.at(-1)?.length ?? 0) + 1,
    message: `holds the control character 0x${code}: a manifest is text, YAML or JSON`,
  };
}

/** Undefined when the bytes are not UTF-8. A byte order mark is left out. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function mebibytes(bytes: number): string {
  // Rounded up, so that what is just over the limit does not read as the limit itself.
  return `${(Math.ceil((bytes * 10) / 1024 / 1024) / 10).toFixed(1)} MiB`;
}

interface DocumentPart {
  readonly value: unknown;
  readonly path: readonly (string | number)[];
}

/** The resources of a `kind: List`, lists in lists as well; of everything else, the thing itself. */
function expandList(
  document: YamlDocument,
  path: readonly (string | number)[],
  value = document.value,
): DocumentPart[] {
  if (!isMapping(value) || value['kind'] !== 'List' || !Array.isArray(value['items']))
    return [{ value, path }];
  return value['items'].flatMap((item: unknown, index) =>
    expandList(document, [...path, 'items', index], item),
  );
}

/** Finds the kind, or says what is wrong with kind and apiVersion. */
function kindOf(object: Record<string, unknown>): { kind: Kind | undefined; faults: readonly Fault[] } {
  const given = object['kind'];
  if (given === undefined || given === null) return unknownKind('is required', undefined);
  if (typeof given !== 'string') return unknownKind('must be a string', undefined);
  const kind = kindNames.find((name) => name === given);
  if (kind !== undefined) return { kind, faults: [] };
  return unknownKind('is not known', findKind(given) ?? nearest(given, kindNames));
}

function unknownKind(what: string, right: string | undefined): { kind: undefined; faults: readonly Fault[] } {
  const remedy = right === undefined ? `use one of ${kindNames.join(', ')}` : `did you mean ${right}?`;
  return { kind: undefined, faults: [{ path: 'kind', message: `${what}: ${remedy}` }] };
}

function locateAll(document: ManifestDocument, faults: readonly Fault[]): readonly ManifestFault[] {
  return faults
    .map((fault) => ({ file: document.file, ...document.locate(fault.path), ...fault }))
    .sort((one, other) => one.line - other.line || one.column - other.column);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
