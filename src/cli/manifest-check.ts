import type { Fault } from '../api/fault.ts';
import { bodyTemplateFaults } from '../api/hook-check.ts';
import type { Draft } from '../api/kinds.ts';
import { checkManifest, type ManifestDocument, type ManifestFault } from '../api/manifest.ts';
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
  if (draft.kind !== 'TaskSpawner') return [];
  const { spec } = draft;
  return [
    ...spawnerFaults(spec),
    ...bodyTemplateFaults(spec.onCompletion?.hooks ?? [], ['spec', 'onCompletion', 'hooks']),
  ];
}
