import type { Command } from 'commander';
import type { CliIo } from './cli-io.ts';
import type { CommandContext } from './command-context.ts';
import { readFlags } from './flags.ts';
import { addGlobalOptions, readGlobalOptions } from './global-options.ts';

/** Does a command's work; a number is the exit code. The flags are those that were given. */
type Handler = (
  context: CommandContext,
  args: readonly string[],
  flags: Readonly<Record<string, unknown>>,
  // biome-ignore lint/suspicious/noConfusingVoidType: most handlers return nothing
) => Promise<number | void>;

/** What commands are declared with. */
export interface CommandSetup {
  /** A new command below the parent, with the options of every command. */
  add(parent: Command, usage: string, description: string): Command;
  /** What the command does. */
  handle(command: Command, handler: Handler): void;
}

/** `finish` is told the exit code of the command that was run. */
export function commandSetup(io: CliIo, finish: (exitCode: number) => void): CommandSetup {
  return {
    add(parent, usage, description) {
      return addGlobalOptions(parent.command(usage).description(description));
    },
    handle(command, handler) {
      command.action(async () => {
        const flags = readFlags(command, io.env);
        const context: CommandContext = { ...io, options: readGlobalOptions(flags, io) };
        finish((await handler(context, command.args, flags)) ?? 0);
      });
    },
  };
}

/** A command that only holds others. */
export function groupOf(parent: Command, { add }: CommandSetup, name: string, description: string): Command {
  return add(parent, name, description).enablePositionalOptions();
}
