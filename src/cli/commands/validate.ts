import { readCheckedManifests } from '../checked-manifests.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import { resourceName } from '../resource-argument.ts';

/** `telos validate`: checks manifests without a store. */
export async function validate(
  context: CommandContext,
  flags: { readonly file?: readonly string[] },
): Promise<void> {
  for (const { draft } of await readCheckedManifests(flags.file, context)) {
    printLine(context, `${resourceName(draft)} valid`);
  }
}
