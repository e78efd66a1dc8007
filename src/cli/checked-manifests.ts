import { type Draft, type Kind, kinds } from '../api/kinds.ts';
import { formatFault, type ManifestFault, parseManifests } from '../api/manifest.ts';
import { CliError, FaultsError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { checkWhole } from './manifest-check.ts';
import { readManifestFiles } from './manifest-files.ts';

/** A manifest without faults. */
export interface CheckedManifest {
  readonly file: string;
  readonly kind: Kind;
  readonly draft: Draft;
}

/**
 * Reads and checks everything that `-f` names.
 * @throws FaultsError with every fault of every file; UsageError and CliError when a file cannot be read
 */
export async function readCheckedManifests(
  paths: readonly string[] | undefined,
  io: Pick<CliIo, 'stdin' | 'signal'>,
): Promise<readonly CheckedManifest[]> {
  const files = await readManifestFiles(paths, io);
  const manifests: CheckedManifest[] = [];
  const faults: ManifestFault[] = [];
  for (const { file, bytes } of files) {
    const parsed = parseManifests(bytes, file);
    faults.push(...parsed.faults);
    for (const document of parsed.documents) {
      const checked = checkWhole(document);
      faults.push(...checked.faults);
      if (checked.kind === undefined || checked.draft === undefined) continue;
      manifests.push({ file, kind: checked.kind, draft: checked.draft });
      if (checked.draft.metadata.name === undefined && checked.faults.length === 0) {
        const message = 'is required: what has no name of its own cannot be found again';
        faults.push({ file, ...document.locate('metadata'), path: 'metadata.name', message });
      }
    }
  }
  if (faults.length > 0) throw new FaultsError(faults.map(formatFault));
  if (manifests.length === 0) {
    const kindList = Object.values(kinds).map((info) => info.kind);
    throw new CliError(
      'no manifest',
      files.map(({ file }) => file).join(', '),
      `write one of ${kindList.join(', ')}`,
    );
  }
  return manifests;
}
