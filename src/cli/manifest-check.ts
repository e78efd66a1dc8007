import type { Fault } from '../api/fault.ts';
import { type FieldPath, formatFieldPath } from '../api/field-path.ts';
import { hooksAnnotationFaults } from '../api/hook-check.ts';
import type { Draft } from '../api/kinds.ts';
import { checkManifest, type ManifestDocument, type ManifestFault } from '../api/manifest.ts';
import { onCompletionAnnotation } from '../api/names.ts';
import { hookTemplateFaults } from '../report/check-templates.ts';
import { parseHooks } from '../report/hooks-annotation.ts';
import { spawnerFaults } from '../spawn/check-spawner.ts';

/**
 * Judges one resource of a manifest as a store would, and then as the rooms that work it will: what a store takes
 * may still be a mistake that only shows when an event comes in or a Task has ended.
 */
export function checkWhole(document: ManifestDocument): ReturnType<typeof checkManifest> {
  const checked = checkManifest(document);
  const { draft } = checked;
  if (draft === undefined) return checked;
  const faults: readonly ManifestFault[] = workFaults(draft).map((fault) => ({
    file: document.file,
    ...document.locate(fault.path),
    ...fault,
  }));
  return faults.length === 0 ? checked : { ...checked, draft: undefined, faults };
}

function workFaults(draft: Draft): readonly Fault[] {
  if (draft.kind === 'Task') return stampedFaults(draft.metadata.annotations);
  if (draft.kind !== 'TaskSpawner') return [];
  const { spec } = draft;
  return [
    ...spawnerFaults(spec),
    ...hookTemplateFaults(spec.onCompletion?.hooks ?? [], ['spec', 'onCompletion', 'hooks']),
  ];
}

/** Of hooks that stand as JSON in the annotation of a Task. Paths inside it are no fields of the resource. */
function stampedFaults(annotations: Readonly<Record<string, string>> | undefined): readonly Fault[] {
  const text = annotations?.[onCompletionAnnotation];
  if (text === undefined) return [];
  return templateFaults(text, ['metadata', 'annotations', onCompletionAnnotation]);
}

/** Judges what a person writes into annotation `kelos.dev/on-completion`, which stands at `path`. */
export function annotatedHooksFaults(text: string, path: FieldPath): readonly Fault[] {
  const faults = hooksAnnotationFaults(text, path);
  return faults.length > 0 ? faults : templateFaults(text, path);
}

function templateFaults(text: string, path: FieldPath): readonly Fault[] {
  return hookTemplateFaults(parseHooks(text).hooks, ['hooks']).map((fault) => ({
    path: formatFieldPath(path),
    message: `${fault.path}: ${fault.message}`,
  }));
}
