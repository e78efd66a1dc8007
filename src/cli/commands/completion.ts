import type { Command } from 'commander';
import { kindNames, kinds } from '../../api/kinds.ts';
import { nearest } from '../../base/nearest.ts';
import { UsageError } from '../cli-error.ts';
import type { CommandContext } from '../command-context.ts';
import { bashCompletion } from '../completion/bash.ts';
import { describeCommands } from '../completion/command-words.ts';
import { fishCompletion } from '../completion/fish.ts';
import { zshCompletion } from '../completion/zsh.ts';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** `telos completion`: a script for one's shell, made from the commands as they are declared. */
export async function completion(
  context: CommandContext,
  args: readonly string[],
  program: Command,
): Promise<void> {
  const [shell = ''] = args;
  if (!Object.hasOwn(scripts, shell)) {
    const near = nearest(shell, Object.keys(scripts));
    const remedy = near === undefined ? 'use bash, zsh or fish' : `did you mean ${near}?`;
    throw new UsageError(shell === '' ? 'no shell named' : `unknown shell '${shell}'`, 'arguments', remedy);
  }
  const kindWords = kindNames.map((kind) => kinds[kind].plural);
  context.stdout.write(scripts[shell as keyof typeof scripts](describeCommands(program), kindWords));
}
