import type { Command } from 'commander';

/** One command as a shell needs to know it. */
export interface CommandWords {
  /** `telos deliveries list` is `deliveries list`; the program itself is empty. */
  readonly path: string;
  readonly description: string;
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly FlagWords[];
  /** What its first argument is. */
  readonly argument: 'kind' | 'task' | 'taskspawner' | 'delivery' | 'shell' | undefined;
}

export interface FlagWords {
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
  readonly description: string;
}

const argumentOf: Readonly<Record<string, CommandWords['argument']>> = {
  get: 'kind',
  describe: 'kind',
  delete: 'kind',
  annotate: 'kind',
  label: 'kind',
  logs: 'task',
  suspend: 'taskspawner',
  resume: 'taskspawner',
  completion: 'shell',
  'deliveries show': 'delivery',
  'deliveries redeliver': 'delivery',
  'deliveries replay': 'task',
};

/** Every command below and with the given one, as it is declared. */
export function describeCommands(command: Command, path = ''): readonly CommandWords[] {
  const below = command.commands.flatMap((child) =>
    describeCommands(child, path === '' ? child.name() : `${path} ${child.name()}`),
  );
  const words: CommandWords = {
    path,
    description: command.description(),
    subcommands: command.commands.map((child) => ({ name: child.name(), description: child.description() })),
    flags: command.options.flatMap((option) =>
      option.long === undefined || option.long === null
        ? []
        : [
            {
              long: option.long,
              short: option.short ?? undefined,
              takesValue: !option.isBoolean(),
              description: option.description,
            },
          ],
    ),
    argument: argumentOf[path],
  };
  return [words, ...below];
}
