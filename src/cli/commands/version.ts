import { type CommandContext, printLine } from '../command-context.ts';
import { version } from '../version.ts';

/** `telos version`. */
export async function showVersion(context: CommandContext): Promise<void> {
  const { output } = context.options;
  const facts = {
    telos: version,
    node: process.versions.node,
    platform: `${process.platform}/${process.arch}`,
  };
  if (output === 'json' || output === 'yaml') {
    const { printObject } = await import('../print-resources.ts');
    printObject(context, facts);
  } else printLine(context, `telos ${facts.telos} (node ${facts.node}, ${facts.platform})`);
}
