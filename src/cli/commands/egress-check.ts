import { escapeControls } from '../../base/text.ts';
import { EgressGuard, type EgressVerdict } from '../../egress/guard.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import { type EgressFlags, egressPolicy } from '../egress-options.ts';
import { isObjectFormat, printObject } from '../print-resources.ts';

/** `telos egress check`: would Telos connect there? Connects nowhere. Returns 1 when any URL is refused. */
export async function checkEgress(
  context: CommandContext,
  urls: readonly string[],
  flags: EgressFlags,
): Promise<0 | 1> {
  if (urls.length === 0) throw new UsageError('no URL given', 'arguments', 'telos egress check URL…');
  const guard = new EgressGuard(await egressPolicy(flags), { clock: context.clock });
  const verdicts: EgressVerdict[] = [];
  try {
    for (const url of urls) {
      const verdict = await guard.check(url, context.signal);
      verdicts.push(verdict);
      if (!isObjectFormat(context.options.output)) printLine(context, sentence(verdict));
    }
  } finally {
    await guard.close();
  }
  if (isObjectFormat(context.options.output)) printObject(context, verdicts.map(inOrder));
  return verdicts.some(({ verdict }) => verdict === 'refused') ? 1 : 0;
}

function sentence({ url, verdict, reason, addresses }: EgressVerdict): string {
  const where = addresses.length === 0 ? '' : ` [${addresses.join(', ')}]`;
  return `${verdict}  ${escapeControls(url)}${where}: ${escapeControls(reason)}`;
}

function inOrder({ url, verdict, stage, reason, addresses }: EgressVerdict): Record<string, unknown> {
  return { url, verdict, stage, reason, addresses };
}
